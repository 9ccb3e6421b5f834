import type { CipherSuiteId } from './cipher-suites.ts';
import { IpmiClosedError, IpmiSessionLostError, IpmiTimeoutError } from './errors.ts';
import type { Handshaken } from './handshake.ts';
import type { Link } from './link.ts';
import { decodeResponse, encodeRequest, type IpmiRequest, type IpmiResponse, NET_FN } from './message.ts';
import { PAYLOAD, protect, unprotect } from './packet.ts';
import { RequestSlots } from './request-slots.ts';
import { SequenceWindow } from './sequence-window.ts';

/** How a session treats its requests. */
export type SessionOptions = {
  /** How long a sending waits for its answer before it is repeated. */
  readonly retryMs: number;
  /** How often a request is repeated, with the same rqSeq. */
  readonly retries: number;
  /** Requests on the way at a time, 1 to 32. */
  readonly maxInFlight: number;
  /** A session that was quiet for so long sends Get Device ID; the BMC closes it after 60 s (IPMI 2.0 6.12.15). 0 is never. */
  readonly keepAliveMs: number;
};

/** How one request is sent. */
export type SendOptions = { readonly signal: AbortSignal; readonly retries?: number };

const CLOSE_SESSION = 0x3c;
const GET_DEVICE_ID = 0x01;
const REST_MS = 10_000;

type Pending = {
  readonly request: IpmiRequest;
  readonly slot: number;
  readonly firstSentAt: number;
  readonly settle: (result: IpmiResponse | Error) => void;
  sendings: number;
  timer: NodeJS.Timeout | undefined;
};

/** An open RMCP+ session: signed and encrypted requests with repeats, answers matched by rqSeq, other payloads passed on. */
export class Session {
  readonly bmcGuid: Buffer;
  readonly cipherSuite: CipherSuiteId;
  readonly #link: Link;
  readonly #made: Handshaken;
  readonly #options: SessionOptions;
  readonly #onLost: (error: IpmiSessionLostError) => void;
  readonly #window = new SequenceWindow();
  readonly #slots = new RequestSlots(REST_MS);
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: (() => void)[] = [];
  readonly #payloads = new Map<
    number,
    { readonly data: (payload: Buffer) => void; readonly end: (error: Error) => void }
  >();
  #running = 0;
  #sequence = 0;
  #heardAt = performance.now();
  #keepAlive: NodeJS.Timeout | undefined;
  #ended: Error | undefined;

  constructor(link: Link, made: Handshaken, options: SessionOptions, onLost: (error: IpmiSessionLostError) => void) {
    this.#link = link;
    this.#made = made;
    this.#options = options;
    this.#onLost = onLost;
    this.bmcGuid = made.bmcGuid;
    this.cipherSuite = made.keys.suite.id;
    link.listen((datagram) => this.#receive(datagram));
    this.#restartKeepAlive();
  }

  /** Why the session is over, if it is. */
  get ended(): Error | undefined {
    return this.#ended;
  }

  /**
   * Sends a request and gives its answer, whatever the completion code.
   * @throws `timeout` when this command stays unanswered, `session-lost` when nothing at all is heard, the signal's reason
   */
  async send(request: IpmiRequest, options: SendOptions): Promise<IpmiResponse> {
    await this.#turn(options.signal);
    try {
      if (this.#ended !== undefined) throw unsent(this.#ended);
      return await this.#exchange(request, options);
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Sends a payload that is no IPMI message (13.27); there is no repeat at this level. */
  sendPayload(payloadType: number, payload: Buffer): void {
    if (this.#ended !== undefined) return;
    this.#sequence = this.#sequence === 0xffff_ffff ? 1 : this.#sequence + 1;
    const { keys, bmcSessionId } = this.#made;
    this.#link.send(protect(keys, { payloadType, sessionId: bmcSessionId, sequence: this.#sequence, payload }));
    // A BMC may count commands alone as signs of life, and end a session whose console is busy.
    if (payloadType === PAYLOAD.ipmi) this.#restartKeepAlive();
  }

  /** Who gets the payloads of a type, and learns of the session's end; one at a time. The function returned takes it away. */
  onPayload(payloadType: number, data: (payload: Buffer) => void, end: (error: Error) => void): () => void {
    const taker = { data, end };
    this.#payloads.set(payloadType, taker);
    return () => {
      if (this.#payloads.get(payloadType) === taker) this.#payloads.delete(payloadType);
    };
  }

  /** Whether somebody takes the payloads of that type. */
  takes(payloadType: number): boolean {
    return this.#payloads.has(payloadType);
  }

  /** Hands payloads to their taker as if they came only now: those that were there before it. */
  replay(payloadType: number, payloads: readonly Buffer[]): void {
    for (const payload of payloads) this.#payloads.get(payloadType)?.data(payload);
  }

  /** Tells the BMC (Close Session, 22.19) and waits for its answer once, not longer than a repeat would take. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    const id = Buffer.alloc(4);
    id.writeUInt32LE(this.#made.bmcSessionId);
    const request = { netFn: NET_FN.app, command: CLOSE_SESSION, data: id };
    // An unanswered farewell is no loss: the BMC ends a quiet session by itself.
    await this.#exchange(request, { signal: new AbortController().signal, retries: 0 }).catch(() => {});
    this.#end(new IpmiClosedError('the session was closed'));
  }

  /** Resolves when it is this caller's turn; the caller must count itself out. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running >= this.#options.maxInFlight) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const leave = () => {
        const at = this.#waiting.indexOf(resolve);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      this.#waiting.push(resolve);
      signal.addEventListener('abort', leave, { once: true });
      await promise.finally(() => signal.removeEventListener('abort', leave));
    }
    this.#running += 1;
  }

  #exchange(request: IpmiRequest, { signal, retries = this.#options.retries }: SendOptions): Promise<IpmiResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<IpmiResponse>();
    const abort = () => pending.settle(signal.reason as Error);
    const pending: Pending = {
      request,
      slot: this.#slots.take(),
      firstSentAt: performance.now(),
      sendings: 0,
      timer: undefined,
      settle: (result) => {
        clearTimeout(pending.timer);
        signal.removeEventListener('abort', abort);
        if (this.#pending.get(pending.slot) === pending) this.#pending.delete(pending.slot);
        this.#slots.release(pending.slot, pending.sendings > 1 || result instanceof Error);
        if (result instanceof Error) reject(result);
        else resolve(result);
      },
    };
    this.#pending.set(pending.slot, pending);
    signal.addEventListener('abort', abort, { once: true });
    this.#sendOnce(pending, retries);
    return promise;
  }

  /** Every sending is a new packet with a new session sequence number and the old rqSeq (6.12.8, 13.8). */
  #sendOnce(pending: Pending, retries: number): void {
    pending.sendings += 1;
    this.sendPayload(PAYLOAD.ipmi, encodeRequest(pending.request, pending.slot));
    pending.timer = setTimeout(() => {
      if (pending.sendings <= retries) this.#sendOnce(pending, retries);
      else this.#unanswered(pending);
    }, this.#options.retryMs);
  }

  #unanswered(pending: Pending): void {
    const { netFn, command } = pending.request;
    const what = `netFn 0x${netFn.toString(16)} command 0x${command.toString(16)}: no answer to ${pending.sendings} sendings`;
    const quiet = this.#heardAt < pending.firstSentAt && pending.sendings > this.#options.retries;
    if (quiet) this.#lose(what);
    else pending.settle(new IpmiTimeoutError(what));
  }

  #receive(datagram: Buffer): void {
    const packet = unprotect(this.#made.keys, this.#made.consoleSessionId, datagram);
    if (packet === undefined || !this.#window.accept(packet.sequence)) return;
    this.#heardAt = performance.now();
    if (packet.payloadType !== PAYLOAD.ipmi) {
      this.#payloads.get(packet.payloadType)?.data(packet.payload);
      return;
    }
    const answer = decodeResponse(packet.payload);
    const pending = answer === undefined ? undefined : this.#pending.get(answer.sequence);
    if (answer === undefined || pending === undefined) return;
    if (answer.netFn === pending.request.netFn && answer.command === pending.request.command) pending.settle(answer);
  }

  #restartKeepAlive(): void {
    clearTimeout(this.#keepAlive);
    if (this.#options.keepAliveMs === 0) return;
    this.#keepAlive = setTimeout(() => {
      const request = { netFn: NET_FN.app, command: GET_DEVICE_ID };
      // Silence ends the session by itself, in #unanswered.
      this.send(request, { signal: new AbortController().signal }).catch(() => {});
    }, this.#options.keepAliveMs);
  }

  #lose(why: string): void {
    const error = new IpmiSessionLostError(`session lost: ${why}`, true);
    if (this.#end(error)) this.#onLost(error);
  }

  #end(error: Error): boolean {
    if (this.#ended !== undefined) return false;
    this.#ended = error;
    clearTimeout(this.#keepAlive);
    this.#link.close();
    for (const pending of [...this.#pending.values()]) pending.settle(error);
    for (const taker of [...this.#payloads.values()]) taker.end(error);
    this.#payloads.clear();
    return true;
  }
}

/** The same for a request that was still waiting for its turn. */
function unsent(error: Error): Error {
  return error instanceof IpmiSessionLostError ? new IpmiSessionLostError(error.message, false) : error;
}
