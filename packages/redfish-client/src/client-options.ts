import type { TlsOptions } from './agent.ts';
import type { Backoff } from './backoff.ts';
import { BadOptionError } from './errors.ts';
import type { Notify } from './notice.ts';
import type { QuirkRow } from './quirks.ts';
import type { Auth } from './session.ts';

/** Options of `connectRedfish`. */
export type RedfishOptions = {
  /** Scheme, host and port of the service, for example `https://bmc.example`; a path is ignored. */
  readonly url: string;
  readonly auth: Auth;
  readonly tls?: TlsOptions;
  /** Allows a `http:` URL. */
  readonly plainHttp?: boolean;
  /** Deadline of a call that names none; default 30,000. */
  readonly timeoutMs?: number;
  /** Deadline of each resource in calls that gather many, from its turn on; default 10,000. */
  readonly partTimeoutMs?: number;
  /** Largest body that is read; default 8 MiB. */
  readonly maxBytes?: number;
  /** Deepest nesting of JSON that is read; default 64. */
  readonly maxDepth?: number;
  /** Requests in flight at a time; default 4, as BMCs are small. */
  readonly maxInFlight?: number;
  /** How often a read is repeated after a lost connection, 429 or 503; default 3. Writes are never repeated so. */
  readonly retries?: number;
  readonly backoff?: Backoff;
  /** Milliseconds between two polls of a task, a power state or a resource, where the service names none; default 1,000. */
  readonly pollMs?: number;
  /** Rows that are looked up before the package's own table. */
  readonly quirks?: readonly QuirkRow[];
  readonly onNotice?: Notify;
};

/** Options with their defaults. */
export type Settings = Required<
  Pick<
    RedfishOptions,
    | 'timeoutMs'
    | 'partTimeoutMs'
    | 'maxBytes'
    | 'maxDepth'
    | 'maxInFlight'
    | 'retries'
    | 'pollMs'
    | 'backoff'
    | 'quirks'
  >
>;

/** Fills in the defaults. @throws BadOptionError */
export function settingsOf(options: RedfishOptions): Settings {
  const settings = {
    timeoutMs: options.timeoutMs ?? 30_000,
    partTimeoutMs: options.partTimeoutMs ?? 10_000,
    maxBytes: options.maxBytes ?? 8 * 1024 * 1024,
    maxDepth: options.maxDepth ?? 64,
    maxInFlight: options.maxInFlight ?? 4,
    retries: options.retries ?? 3,
    pollMs: options.pollMs ?? 1_000,
  };
  for (const [name, value] of Object.entries(settings))
    if (!Number.isSafeInteger(value) || value < 0 || (value === 0 && name !== 'retries'))
      throw new BadOptionError(`${name} must be a positive whole number`);
  return { ...settings, backoff: options.backoff ?? {}, quirks: options.quirks ?? [] };
}
