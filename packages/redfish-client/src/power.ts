import { type Action, readAction } from './action.ts';
import type { Answer, RedfishClient } from './client.ts';
import { ConnectionError, HttpError, UnsupportedError } from './errors.ts';
import { textOf } from './json.ts';
import { quirksOf } from './quirks.ts';
import { type CallOptions, pause } from './signals.ts';
import { readSystem, type System } from './system.ts';
import { perform } from './task.ts';

/** Values of ResetType (schema Resource). */
export const RESET_TYPES = [
  'On',
  'ForceOff',
  'GracefulShutdown',
  'GracefulRestart',
  'ForceRestart',
  'Nmi',
  'ForceOn',
  'PushPowerButton',
  'PowerCycle',
  'Suspend',
  'Pause',
  'Resume',
  'FullPowerCycle',
] as const;

/** A way to reset (schema Resource, ResetType). */
export type ResetType = (typeof RESET_TYPES)[number];

/** What is wanted, and the reset types that do it, the best first. */
export const POWER_INTENTS = {
  on: ['On', 'ForceOn'],
  /** At once, whatever the operating system does. */
  off: ['ForceOff'],
  /** Asks the operating system, which may not listen. */
  'soft-off': ['GracefulShutdown'],
  /** Reset without loss of power. */
  restart: ['ForceRestart'],
  /** Off and on again. */
  cycle: ['PowerCycle', 'FullPowerCycle'],
  'soft-restart': ['GracefulRestart'],
} as const satisfies Readonly<Record<string, readonly ResetType[]>>;

/** A name of POWER_INTENTS. */
export type PowerIntent = keyof typeof POWER_INTENTS;

/** The reset types a system offers, in the service's own spelling, and where to POST them. */
export type ResetOffer = {
  readonly target: string;
  readonly types: readonly string[];
  /** False when the service publishes none and the list is an assumption of the quirk table. */
  readonly published: boolean;
};

/** Reads what resets a system offers (DSP0266 "Allowable values"). @throws UnsupportedError without the action */
export async function readResetOffer(
  client: RedfishClient,
  system: System,
  options: CallOptions = {},
): Promise<ResetOffer> {
  const action: Action = await readAction(client, system.raw, '#ComputerSystem.Reset', options);
  const types = action.allowable['ResetType'];
  const { assumedResetTypes } = await quirksOf(client, options);
  return { target: action.target, types: types ?? assumedResetTypes, published: types !== undefined };
}

/**
 * Resets a system and sees a task of it through. The power state may follow later: `waitForPower`.
 * @throws UnsupportedError when the type is not among the allowable values; nothing was sent then.
 */
export async function resetSystem(
  client: RedfishClient,
  system: System,
  type: ResetType,
  options: CallOptions = {},
): Promise<Answer> {
  using time = client.deadline(`reset ${type}`, options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const offer = await readResetOffer(client, system, limits);
  const { resetSpelling } = await quirksOf(client, limits);
  const spelling = resetSpelling[type] ?? type;
  if (!offer.types.includes(spelling)) throw new UnsupportedError(`reset ${type} is not offered`, offer.types);
  return await perform(client, 'POST', offer.target, { ...limits, body: { ResetType: spelling } });
}

/** Options of `setPower` and `waitForPower`. */
export type PowerOptions = CallOptions & {
  /** Milliseconds between two looks; default the client's `pollMs`. */
  readonly pollMs?: number | undefined;
};

/** What `setPower` did. */
export type PowerResult = {
  /** The type that was sent; undefined when the system was as wished already. */
  readonly sent: ResetType | undefined;
  readonly powerState: string | undefined;
};

/**
 * Brings a system to a power state and waits for it: the first offered type of the intent is sent, unless the system is there already.
 * So it may be called twice. `restart`, `cycle` and `soft-restart` always send, and wait for `On`, which a system that restarts at
 * once may never have left. A service that refuses with 409 as it has just got there is believed after a look.
 * @throws UnsupportedError, RedfishTimeout, and as `resetSystem`.
 */
export async function setPower(
  client: RedfishClient,
  path: string,
  intent: PowerIntent,
  options: PowerOptions = {},
): Promise<PowerResult> {
  using time = client.deadline(`power ${intent}`, options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs, pollMs: options.pollMs };
  const wished = intent === 'off' || intent === 'soft-off' ? 'Off' : 'On';
  const level = intent === 'on' || wished === 'Off';
  const system = await readSystem(client, path, limits);
  if (level && system.powerState === wished) return { sent: undefined, powerState: wished };
  const offer = await readResetOffer(client, system, limits);
  const { resetSpelling } = await quirksOf(client, limits);
  const candidates: readonly ResetType[] = POWER_INTENTS[intent];
  const type = candidates.find((one) => offer.types.includes(resetSpelling[one] ?? one));
  if (type === undefined) throw new UnsupportedError(`no reset for ${intent} is offered`, offer.types);
  try {
    await resetSystem(client, system, type, limits);
  } catch (error) {
    if (!level || !(error instanceof HttpError) || ![400, 409].includes(error.status)) throw error;
    const { powerState } = await readSystem(client, path, limits);
    if (powerState !== wished) throw error;
    return { sent: type, powerState };
  }
  return { sent: type, powerState: await waitForPower(client, path, wished, limits) };
}

/**
 * Waits until a system's PowerState is as wished; errors that pass (lost connection, 429, 503) are borne until the deadline, as many
 * BMCs are busy while the host's power changes.
 * @throws RedfishTimeout, HttpError
 */
export async function waitForPower(
  client: RedfishClient,
  path: string,
  wished: string,
  options: PowerOptions = {},
): Promise<string> {
  using time = client.deadline(`wait for power ${wished}`, options);
  for (;;) {
    try {
      const { body } = await client.get(path, { signal: time.signal, timeoutMs: options.timeoutMs });
      if (textOf(body, 'PowerState') === wished) return wished;
    } catch (error) {
      const passing =
        error instanceof ConnectionError || (error instanceof HttpError && [429, 503].includes(error.status));
      if (!passing) throw error;
    }
    await pause(options.pollMs ?? client.settings.pollMs, time.signal);
  }
}
