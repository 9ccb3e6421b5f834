import { DpuError, hasCode, toDpuError } from '../../core/errors.ts';
import { type Clock, timestamp } from '../../core/ports/clock.ts';
import type {
  BiosGuard,
  BiosReading,
  BiosRestored,
  BiosSettings,
  BiosValue,
  HostBios,
} from '../../core/ports/host-bios.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { BiosReport } from '../../schemas/generated/rest.ts';
import { differencesOf, hasName, hazardsOf } from './bios-rules.ts';
import type { Finding } from './health.ts';
import { patienceMs, within } from './within.ts';

/** What the configuration says of BIOS settings. */
export interface BiosPolicy {
  readonly restore: boolean;
  readonly baseline?: BiosSettings;
  readonly required?: Readonly<Record<string, readonly BiosValue[]>>;
  readonly ignore: readonly string[];
}

/** Keeps the host's BIOS settings to a baseline. */
export interface BiosKeeper extends BiosGuard {
  /**
   * Looks, and does what a release left undone. Takes the first baseline once the node is settled: before, it may not know yet of an instance
   * that has the host. Never rejects.
   */
  look(isSettled: boolean): Promise<Finding>;
  report(): Promise<BiosReport>;
  /** The baseline that is kept, and when it was taken; null: none. */
  kept(): { readonly settings: BiosSettings; readonly at: string | null } | null;
  /** Takes a baseline over from elsewhere, where there is none. */
  adopt(baseline: { readonly settings: BiosSettings; readonly at: string | null }): Promise<void>;
  /** Makes what is now the baseline. @throws `bad_state` while an instance has the host, `unsupported`, and as HostBios. */
  capture(): Promise<void>;
  /** Sets back what differs now. @throws `bad_state` while an instance has the host. */
  putBack(): Promise<BiosRestored>;
}

/** What the keeper works with. */
export interface BiosKeeperParts {
  /** null: the BMC's protocol has none (IPMI). */
  readonly bios: HostBios | null;
  readonly store: Pick<NodeStore, 'setting' | 'setSetting' | 'liveInstances' | 'listInstances'>;
  readonly policy: BiosPolicy;
  readonly clock: Clock;
  readonly log: Log;
}

interface Baseline {
  readonly settings: BiosSettings;
  /** null: configured. */
  readonly at: string | null;
}

/** How long a look is good while nothing of ours happens, in milliseconds. */
const goodMs = 300_000;
/** Settings that are set back one by one where all at once were refused, at most. */
const most = 64;

const baselineKey = 'bios.baseline';
/** There where a release could not set everything back. */
const dueKey = 'bios.restore-due';
/** There where an instance had the host before there was a baseline: what is found then is not the operator's. */
const taintedKey = 'bios.tainted';

/** Makes a keeper. */
export function createBiosKeeper({ bios, store, policy, clock, log }: BiosKeeperParts): BiosKeeper {
  const { required = {}, ignore } = policy;
  let last: { readonly at: number; readonly finding: Finding; readonly claimed: boolean } | undefined;
  const claimed = (): boolean => store.liveInstances().some((each) => each.claimed);

  function baseline(): Baseline | null {
    if (policy.baseline) return { settings: policy.baseline, at: null };
    const text = store.setting(baselineKey);
    return text === null ? null : (JSON.parse(text) as Baseline);
  }

  async function read(signal?: AbortSignal): Promise<BiosReading> {
    if (!bios) throw new DpuError('unsupported', 'IPMI does not show BIOS settings');
    const { now, next, readOnly } = await within(clock, patienceMs.ask, (inner) => bios.read(inner), signal);
    const kept = (settings: BiosSettings): BiosSettings =>
      Object.fromEntries(
        Object.entries(settings).filter(
          ([name]) => !readOnly.has(name) && !ignore.some((pattern) => hasName(pattern, name)),
        ),
      );
    return { now: kept(now), next: kept(next), readOnly };
  }

  async function save({ now }: BiosReading): Promise<void> {
    const value: Baseline = { settings: now, at: timestamp(clock) };
    await store.setSetting(baselineKey, JSON.stringify(value));
    await store.setSetting(taintedKey, null);
    await store.setSetting(dueKey, null);
    last = undefined;
    log.info('BIOS settings are taken as the baseline', { settings: Object.keys(now).length });
  }

  async function write(wanted: BiosSettings, signal: AbortSignal | undefined): Promise<void> {
    const target = bios;
    if (!target) return;
    const send = (settings: BiosSettings) =>
      within(clock, patienceMs.ask, (inner) => target.write(settings, inner), signal);
    try {
      await send(wanted);
    } catch (error) {
      const isRefused = hasCode(error, 'hardware') || hasCode(error, 'unsupported') || hasCode(error, 'bad_state');
      const each = Object.entries(wanted);
      if (!isRefused || each.length === 1) throw error;
      for (const [name, value] of each.slice(0, most)) {
        await send({ [name]: value }).catch((refusal: unknown) => {
          signal?.throwIfAborted();
          log.warn('a BIOS setting could not be set back', { setting: name, error: refusal });
        });
      }
    }
  }

  async function setBack(signal?: AbortSignal): Promise<BiosRestored> {
    const base = baseline();
    if (!base) return { restored: [], left: [] };
    const wrong = (reading: BiosReading) =>
      differencesOf(reading, base.settings).filter((each) => each.next !== each.baseline);
    const before = wrong(await read(signal));
    if (before.length === 0) return { restored: [], left: [] };
    await write(Object.fromEntries(before.map((each) => [each.name, each.baseline])), signal);
    const left = new Set(wrong(await read(signal)).map(({ name }) => name));
    const names = before.map(({ name }) => name);
    const done = { restored: names.filter((name) => !left.has(name)), left: names.filter((name) => left.has(name)) };
    log.warn('BIOS settings go back to the baseline at the next start', done);
    return done;
  }

  const offence = (hazards: ReturnType<typeof hazardsOf>): string =>
    hazards
      .map(({ name, next, why }) => `${name} is ${next} (${why})`)
      .join('; ')
      .slice(0, 900);

  async function examine(isSettled: boolean): Promise<Finding> {
    const check = 'bios';
    try {
      const isClaimed = claimed();
      let base = baseline();
      if (!base && isClaimed) await store.setSetting(taintedKey, 'yes');
      let reading = await read();
      if (!base && !isSettled)
        return { check, state: 'unknown', found: 'no baseline yet: the node looks at what it finds' };
      if (!base && !isClaimed && store.setting(taintedKey) === null && neverUsed()) {
        await save(reading);
        base = baseline();
      }
      if (store.setting(dueKey) !== null && !isClaimed && policy.restore) {
        if ((await setBack()).left.length === 0) await store.setSetting(dueKey, null);
        reading = await read();
      }
      const hazards = hazardsOf(reading, base?.settings ?? null, required);
      const differing = base ? differencesOf(reading, base.settings).filter((each) => each.next !== each.baseline) : [];
      if (isClaimed) {
        const found = `${differing.length} settings differ from the baseline; they go back when the instance goes`;
        return { check, state: 'ok', found };
      }
      if (hazards.length > 0) return { check, state: 'fail', id: 'bios-unsafe', found: offence(hazards) };
      if (!base) {
        const found =
          'no baseline: an instance had the host before there was one; `dpuctl bios capture` takes what is now';
        return { check, state: 'warn', id: 'bios-uncontrolled', found };
      }
      if (differing.length > 0) {
        const names = differing.map(({ name }) => name);
        const found = `${names.length} settings differ from the baseline: ${names.join(', ').slice(0, 800)}`;
        return { check, state: 'warn', id: 'bios-changed', found };
      }
      return { check, state: 'ok', found: `${Object.keys(base.settings).length} settings are as in the baseline` };
    } catch (error) {
      const { code, message } = toDpuError(error, 'reading BIOS settings failed');
      if (code !== 'unsupported')
        return { check, state: 'unknown', found: `BIOS settings could not be read: ${message}` };
      return {
        check,
        state: 'warn',
        id: 'bios-uncontrolled',
        found: 'the BMC does not show BIOS settings: not controlled',
      };
    }
  }

  const neverUsed = (): boolean => store.listInstances(null, { limit: 1, cursor: null }).instances.length === 0;

  function refuseClaimed(): void {
    if (claimed()) throw new DpuError('bad_state', 'an instance has the host, and its BIOS settings with it');
  }

  return {
    async look(isSettled) {
      const isClaimed = claimed();
      const now = clock.monotonicMs();
      const isGood = last && now - last.at < goodMs && last.claimed === isClaimed && last.finding.state !== 'unknown';
      if (last && isGood && store.setting(dueKey) === null) return last.finding;
      const finding = await examine(isSettled);
      last = { at: now, finding, claimed: isClaimed };
      return finding;
    },
    async check(signal) {
      last = undefined;
      const base = baseline();
      if (!base) await store.setSetting(taintedKey, 'yes');
      let reading: BiosReading;
      try {
        reading = await read(signal);
      } catch (error) {
        if (hasCode(error, 'unsupported')) return; // shown as bios-uncontrolled
        throw error;
      }
      const hazards = hazardsOf(reading, base?.settings ?? null, required);
      if (hazards.length === 0) return;
      throw new DpuError('bad_state', `BIOS settings keep the host from starting: ${offence(hazards)}`, {
        details: { settings: hazards.map(({ name }) => name) },
      });
    },
    async restore(signal) {
      last = undefined;
      if (!bios || !policy.restore || !baseline()) return { restored: [], left: [] };
      try {
        const done = await setBack(signal);
        if (done.left.length > 0) await store.setSetting(dueKey, 'yes');
        return done;
      } catch (error) {
        signal.throwIfAborted();
        if (hasCode(error, 'unsupported')) return { restored: [], left: [] };
        await store.setSetting(dueKey, 'yes');
        log.warn('BIOS settings could not be set back yet; it is tried again', { error });
        return { restored: [], left: [] };
      }
    },
    async report() {
      const base = baseline();
      const common = {
        baseline: base ? (policy.baseline ? ('configured' as const) : ('captured' as const)) : ('none' as const),
        captured_at: base?.at ?? null,
        settings: Object.keys(base?.settings ?? {}).length,
      };
      try {
        const reading = await read();
        const differing = base ? [...differencesOf(reading, base.settings)] : [];
        const unsafe = hazardsOf(reading, base?.settings ?? null, required).map((each) => ({
          ...each,
          allowed: [...each.allowed],
        }));
        return { ...common, controlled: true, differing, unsafe };
      } catch (error) {
        if (!hasCode(error, 'unsupported')) throw error;
        return { ...common, controlled: false, differing: [], unsafe: [] };
      }
    },
    kept: baseline,
    async adopt(given) {
      if (store.setting(baselineKey) !== null) return;
      await store.setSetting(baselineKey, JSON.stringify(given));
      last = undefined;
    },
    async capture() {
      refuseClaimed();
      if (policy.baseline)
        throw new DpuError('bad_state', 'the baseline is configured', { field: 'host.bios.baseline' });
      await save(await read());
    },
    async putBack() {
      refuseClaimed();
      last = undefined;
      const done = await setBack();
      if (done.left.length === 0) await store.setSetting(dueKey, null);
      return done;
    },
  };
}
