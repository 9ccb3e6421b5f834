import { type Backoff, backoffDelay } from './backoff.ts';
import { type CipherSuiteId, cipherSuite } from './cipher-suites.ts';
import { Emitter } from './emitter.ts';
import {
  IpmiArgumentError,
  IpmiBusyError,
  IpmiClosedError,
  IpmiCompletionError,
  type IpmiError,
  IpmiSessionLostError,
  IpmiTimeoutError,
  IpmiUnreachableError,
} from './errors.ts';
import { type Credentials, handshake } from './handshake.ts';
import { openLink } from './link.ts';
import { type IpmiRequest, MAX_REQUEST_DATA, NET_FN } from './message.ts';
import { PRIVILEGE, type Privilege } from './privilege.ts';
import { Session } from './session.ts';
import { deadline, pause, withSignal } from './signals.ts';

/** Where a BMC is, who we are there, and how patient we are. */
export type IpmiClientOptions = {
  /** Name or address. */
  readonly host: string;
  /** UDP port; default 623 (IPMI 2.0 13.1.2). */
  readonly port?: number;
  /** At most 16 bytes; empty is the anonymous user (13.20). */
  readonly username: string;
  /** At most 20 bytes (13.33). */
  readonly password: string;
  /** K_G, the BMC's own key, at most 20 bytes; only for a BMC that has one (13.33). */
  readonly bmcKey?: Uint8Array;
  /** Allowed cipher suites, best first; default 17, then 3. Name only 17 to be safe from being talked down. */
  readonly cipherSuites?: readonly CipherSuiteId[];
  /** Level of the session; default `administrator`. */
  readonly privilege?: Privilege;
  /** Time for a call when it names none; default 15000. */
  readonly timeoutMs?: number;
  /** How long a message waits for its answer before it is repeated; default 1000. */
  readonly retryMs?: number;
  /** How often a message is repeated; default 3. */
  readonly retries?: number;
  /** Requests on the way at a time, 1 to 32; default 1, which every BMC bears. */
  readonly maxInFlight?: number;
  /** Calls that may wait; more are refused with `too-many-requests`. Default 256. */
  readonly maxWaiting?: number;
  /** A session that was quiet for so long is kept alive; default 20000, 0 is never (the BMC ends it after 60 s, 6.12.15). */
  readonly keepAliveMs?: number;
  /** Waits between attempts to open a session. */
  readonly backoff?: Backoff;
};

/** How long a call may take, and what ends it early. */
export type CallOptions = { readonly signal?: AbortSignal; readonly timeoutMs?: number };

/** How a raw request is sent. */
export type RequestOptions = CallOptions & {
  /**
   * Whether it may reach the BMC twice: repeated when no answer comes, and sent again in a new session when the old one is lost.
   * Default true; false for what must not happen twice, such as a power cycle.
   */
  readonly repeatable?: boolean;
};

/** What happens to the session. */
export type IpmiClientEvents = {
  /** A session is open; `reconnected` when there was one before. */
  readonly open: { readonly reconnected: boolean; readonly cipherSuite: CipherSuiteId };
  /** The BMC fell silent; a new session is being opened. */
  readonly lost: { readonly error: IpmiError };
  /** An attempt to open a session failed; the next is made after `delayMs`. */
  readonly retry: { readonly error: IpmiError; readonly attempt: number; readonly delayMs: number };
  /** No session can be opened, for a reason that waiting does not cure; the next call tries once more. */
  readonly failed: { readonly error: Error };
};

/** A BMC that takes commands. Every command of this package needs no more than this. */
export type IpmiRequester = {
  /**
   * Data of the answer, after the completion code.
   * @throws IpmiCompletionError when the completion code is not 0, and what `IpmiClient.request` throws
   */
  request(request: IpmiRequest, options?: RequestOptions): Promise<Buffer>;
};

/** A client of one BMC. It opens a session when it is first needed, keeps it, and opens another when it is lost. */
export type IpmiClient = IpmiRequester & {
  /** Opens the session now, or waits for the one that is being opened. @throws as `request` */
  open(options?: CallOptions): Promise<void>;
  /** The open session itself, for payloads other than IPMI messages. @throws as `request` */
  session(options?: CallOptions): Promise<Session>;
  /** Hears an event; the function returned stops that. */
  on<K extends keyof IpmiClientEvents>(name: K, listener: (event: IpmiClientEvents[K]) => void): () => void;
  /** Closes the session at the BMC. What still waits is rejected with `closed`. May be called twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

const NODE_BUSY = 0xc0;
const BUSY_REPEATS = 5;
const SET_SESSION_PRIVILEGE = 0x3b;

type Settings = Required<Omit<IpmiClientOptions, 'username' | 'password' | 'bmcKey' | 'backoff'>> &
  Credentials & { readonly backoff: Backoff };

/**
 * A client of the BMC at that address. Nothing is sent yet.
 * @throws `bad-argument`, `bad-cipher-suite`
 */
export function createIpmiClient(options: IpmiClientOptions): IpmiClient {
  return new Client(settingsOf(options));
}

class Client implements IpmiClient {
  readonly #settings: Settings;
  readonly #events = new Emitter<IpmiClientEvents>();
  readonly #closing = new AbortController();
  #session: Session | undefined;
  #opening: Promise<Session> | undefined;
  #lastError: IpmiError | undefined;
  #hadSession = false;
  #callers = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  on<K extends keyof IpmiClientEvents>(name: K, listener: (event: IpmiClientEvents[K]) => void): () => void {
    return this.#events.on(name, listener);
  }

  async open(options: CallOptions = {}): Promise<void> {
    await this.session(options);
  }

  session(options: CallOptions = {}): Promise<Session> {
    return this.#call('open session', options, (signal) => this.#ready(signal));
  }

  request(request: IpmiRequest, options: RequestOptions = {}): Promise<Buffer> {
    const what = `netFn 0x${request.netFn.toString(16)} command 0x${request.command.toString(16)}`;
    return this.#call(what, options, (signal) => this.#send(request, options.repeatable ?? true, signal));
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const session = this.#session;
    const farewell = session?.close();
    this.#closing.abort(new IpmiClosedError('the client was closed'));
    await farewell;
    await this.#opening?.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call<T>(what: string, options: CallOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { maxWaiting, timeoutMs } = this.#settings;
    this.#closing.signal.throwIfAborted();
    options.signal?.throwIfAborted();
    if (this.#callers >= maxWaiting) throw new IpmiBusyError(maxWaiting);
    const outer = options.signal === undefined ? [] : [options.signal];
    using limit = deadline(options.timeoutMs ?? timeoutMs, what, [this.#closing.signal, ...outer]);
    this.#callers += 1;
    try {
      return await work(limit.signal);
    } finally {
      this.#callers -= 1;
    }
  }

  async #send(request: IpmiRequest, repeatable: boolean, signal: AbortSignal): Promise<Buffer> {
    const size = request.data?.length ?? 0;
    if (size > MAX_REQUEST_DATA) throw new IpmiArgumentError(`${size} bytes of data are more than ${MAX_REQUEST_DATA}`);
    for (let busy = 0; ; ) {
      try {
        const session = await this.#ready(signal);
        const answer = await session.send(request, repeatable ? { signal } : { signal, retries: 0 });
        if (answer.completionCode === 0) return answer.data;
        if (answer.completionCode !== NODE_BUSY || busy >= BUSY_REPEATS) {
          throw new IpmiCompletionError(answer.completionCode, request.netFn, request.command);
        }
        // Node busy: nothing was done, and the standard asks to try again (table 5-2).
        await pause(backoffDelay(busy, { baseMs: 100, maxMs: 1000 }) + 20, signal);
        busy += 1;
      } catch (error) {
        const again = error instanceof IpmiSessionLostError && (repeatable || !error.sent);
        if (!again || signal.aborted) throw error;
      }
    }
  }

  /** The open session, or the next one. When time is up, the reason is why no session could be opened. */
  async #ready(signal: AbortSignal): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    this.#closing.signal.throwIfAborted();
    this.#opening ??= this.#openLoop().finally(() => {
      this.#opening = undefined;
    });
    try {
      return await withSignal(this.#opening, signal);
    } catch (error) {
      if (error instanceof IpmiTimeoutError && this.#lastError !== undefined) throw this.#lastError;
      throw error;
    }
  }

  async #openLoop(): Promise<Session> {
    const { signal } = this.#closing;
    this.#lastError = undefined;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return this.#adopt(await this.#openOnce(signal));
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const passing = error instanceof IpmiTimeoutError || error instanceof IpmiUnreachableError;
        const wanted = this.#hadSession || this.#callers > 0;
        if (!passing || !wanted) {
          this.#events.emit('failed', { error: error as Error });
          throw error;
        }
        this.#lastError = error;
        const delayMs = backoffDelay(attempt, this.#settings.backoff);
        this.#events.emit('retry', { error, attempt: attempt + 1, delayMs });
        await pause(delayMs, signal);
      }
    }
  }

  async #openOnce(signal: AbortSignal): Promise<Session> {
    const { host, port, privilege } = this.#settings;
    const level = PRIVILEGE[privilege];
    const link = await openLink(host, port, signal);
    let session: Session | undefined;
    try {
      const made = await handshake(link, { ...this.#settings, privilege: level }, signal);
      session = new Session(link, made, this.#settings, (error) => this.#lost(error));
      const request = { netFn: NET_FN.app, command: SET_SESSION_PRIVILEGE, data: [level] };
      const { completionCode } = await session.send(request, { signal });
      if (completionCode !== 0) throw new IpmiCompletionError(completionCode, request.netFn, request.command);
      return session;
    } catch (error) {
      await session?.close();
      link.close();
      if (error instanceof IpmiSessionLostError) throw new IpmiTimeoutError(error.message, { cause: error });
      throw error;
    }
  }

  #adopt(session: Session): Session {
    this.#session = session;
    this.#events.emit('open', { reconnected: this.#hadSession, cipherSuite: session.cipherSuite });
    this.#hadSession = true;
    return session;
  }

  #lost(error: IpmiSessionLostError): void {
    if (this.#session === undefined) return;
    this.#session = undefined;
    if (this.#closing.signal.aborted) return;
    this.#events.emit('lost', { error });
    // Its failures are told by events, and to the calls that wait.
    this.#ready(this.#closing.signal).catch(() => {});
  }
}

function settingsOf(options: IpmiClientOptions): Settings {
  const { username, password, bmcKey } = options;
  const cipherSuites = options.cipherSuites ?? [17, 3];
  for (const id of cipherSuites) cipherSuite(id);
  if (cipherSuites.length === 0) throw new IpmiArgumentError('no cipher suite is allowed');
  const maxInFlight = options.maxInFlight ?? 1;
  if (!Number.isInteger(maxInFlight) || maxInFlight < 1 || maxInFlight > 32) {
    throw new IpmiArgumentError('maxInFlight is 1 to 32');
  }
  return {
    host: options.host,
    port: options.port ?? 623,
    username: bytesOf('username', username, 16),
    password: bytesOf('password', password, 20),
    bmcKey: bmcKey === undefined ? undefined : bytesOf('bmcKey', bmcKey, 20),
    cipherSuites,
    privilege: options.privilege ?? 'administrator',
    timeoutMs: options.timeoutMs ?? 15_000,
    retryMs: options.retryMs ?? 1000,
    retries: options.retries ?? 3,
    maxInFlight,
    maxWaiting: options.maxWaiting ?? 256,
    keepAliveMs: options.keepAliveMs ?? 20_000,
    backoff: options.backoff ?? {},
  };
}

function bytesOf(name: string, value: string | Uint8Array, max: number): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > max) throw new IpmiArgumentError(`${name} is longer than ${max} bytes`);
  return bytes;
}
