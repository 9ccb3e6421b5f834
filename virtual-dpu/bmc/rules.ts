/** How the BMC misbehaves: data that can be changed while it runs. */
import { DpuError } from '../../core/errors.ts';
import { PERSONAS, type PersonaName } from './personas.ts';

/** What a broken request comes to. */
export type FaultEffect =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Is carried out, so much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Ends the connection before an answer; `after`: once the request was carried out. */
  | { readonly kind: 'reset'; readonly after?: boolean }
  /** Ends the connection in the middle of the body. */
  | { readonly kind: 'cut' }
  /** Bytes that are no HTTP. */
  | { readonly kind: 'garbage' };

/** A rule that breaks Redfish requests; the first that fits and is not used up applies. */
export interface FaultRule {
  readonly method?: string;
  /** Whole path, or its start when it ends with `*`. */
  readonly path: string;
  /** How many requests it breaks; for ever when not given. */
  readonly times?: number;
  readonly does: FaultEffect;
}

/** Everything about how the BMC plays. */
export interface BmcRules {
  readonly persona: PersonaName;
  /**
   * What the host's power does, by either protocol: `stuck` takes every order and does nothing, `ignores-soft` does so with the power button, `refuses`
   * answers an error.
   */
  readonly power: 'obeys' | 'ignores-soft' | 'stuck' | 'refuses';
  /** `refused`: as with a wrong password, whatever was sent (Redfish; ipmi_sim knows its users by itself). */
  readonly login: 'checked' | 'refused';
  /** Redfish paths (or starts, with `*`) that are linked and answer 404. */
  readonly missing: readonly string[];
  readonly faults: readonly FaultRule[];
}

/** A BMC that does as it is told. */
export const DEFAULT_RULES: BmcRules = {
  persona: 'standard',
  power: 'obeys',
  login: 'checked',
  missing: [],
  faults: [],
};

const POWERS: readonly string[] = ['obeys', 'ignores-soft', 'stuck', 'refuses'];
const EFFECTS: readonly string[] = ['answer', 'slow', 'hang', 'reset', 'cut', 'garbage'];

/** Reads rules from a file or a request; what is absent stays as in `base`. @throws DpuError `invalid` with the field. */
export function parseRules(value: unknown, base: BmcRules): BmcRules {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('rules');
  const { persona, power, login, missing, faults, ...rest } = value as Readonly<Record<string, unknown>>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw wrong(unknown);
  if (persona !== undefined && !(typeof persona === 'string' && Object.hasOwn(PERSONAS, persona)))
    throw wrong('persona');
  if (power !== undefined && !POWERS.includes(power as string)) throw wrong('power');
  if (login !== undefined && login !== 'checked' && login !== 'refused') throw wrong('login');
  if (missing !== undefined && !(Array.isArray(missing) && missing.every((path) => typeof path === 'string')))
    throw wrong('missing');
  if (faults !== undefined && !(Array.isArray(faults) && faults.every(isFault))) throw wrong('faults');
  return {
    persona: (persona as PersonaName | undefined) ?? base.persona,
    power: (power as BmcRules['power'] | undefined) ?? base.power,
    login: login ?? base.login,
    missing: (missing as readonly string[] | undefined) ?? base.missing,
    faults: (faults as readonly FaultRule[] | undefined) ?? base.faults,
  };
}

/** Whether a pattern of a rule means the path. */
export function fits(pattern: string, path: string): boolean {
  return pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function isFault(value: unknown): value is FaultRule {
  if (typeof value !== 'object' || value === null) return false;
  const { path, does, times } = value as Readonly<Record<string, unknown>>;
  if (typeof path !== 'string' || (times !== undefined && !Number.isSafeInteger(times))) return false;
  return typeof does === 'object' && does !== null && EFFECTS.includes((does as { kind?: string }).kind ?? '');
}

function wrong(field: string): DpuError {
  return new DpuError('invalid', `the BMC's rules: ${field} is not understood`, { field });
}
