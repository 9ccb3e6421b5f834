import type { Socket } from 'node:net';
import { peerError } from './decode-result.ts';
import { ConnectionLostError, EncodeError, type OvsdbError, ProtocolError, RequestError } from './errors.ts';
import { JsonStream, type JsonStreamLimits } from './json-stream.ts';

/** Called once, in the order of the wire: before anything that the server sent after this answer is looked at. */
export type Answer = {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
};

/** Bounds and times of one connection. */
export type ConnectionOptions = JsonStreamLimits & {
  /** Longest message we send, and most bytes that may wait for a peer that does not read. */
  readonly maxSendBytes: number;
  /** Silence in milliseconds after which an echo is sent, and again as long for its answer; 0 never asks. */
  readonly inactivityMs: number;
};

/** What a connection tells its owner. */
export type ConnectionEvents = {
  readonly notification: (method: string, params: readonly unknown[]) => void;
  /** An answer came: the peer is alive and speaks the protocol. */
  readonly answered: () => void;
  readonly closed: (error: OvsdbError) => void;
};

/** JSON-RPC 1.0 over one socket (RFC 7047 4): requests by id, notifications, echo both ways, inactivity probe. */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #waiting = new Map<number, Answer & { readonly method: string }>();
  readonly #stream: JsonStream;
  #nextId = 0;
  #closed = false;
  #probe: NodeJS.Timeout | undefined;
  #heard = true;
  #probing = false;

  constructor(socket: Socket, options: ConnectionOptions, events: ConnectionEvents) {
    this.#socket = socket;
    this.#options = options;
    this.#events = events;
    this.#stream = new JsonStream(options);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.close(new ConnectionLostError(undefined, { cause: error })));
    socket.on('close', () => this.close(new ConnectionLostError()));
    socket.on('end', () => this.close(new ConnectionLostError('the server closed the connection')));
    if (options.inactivityMs > 0) {
      this.#probe = setInterval(() => this.#checkActivity(), options.inactivityMs);
      this.#probe.unref();
    }
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.#waiting.size;
  }

  /**
   * Sends a request; `answer` is called once, also when the connection ends. Returns the id for `forget`.
   *
   * @throws EncodeError `encode` when the message is too long; then nothing was sent
   */
  request(method: string, params: readonly unknown[], answer: Answer): number {
    const id = this.#nextId;
    const text = this.#encode({ method, params, id });
    this.#nextId += 1;
    if (this.#closed) {
      answer.reject(new ConnectionLostError());
      return id;
    }
    this.#waiting.set(id, { ...answer, method });
    this.#write(text);
    return id;
  }

  /** Sends a message that has no answer. */
  notify(method: string, params: readonly unknown[]): void {
    if (!this.#closed) this.#write(this.#encode({ method, params, id: null }));
  }

  /** Gives up waiting for an answer; when it comes, it is dropped. A transact is cancelled (RFC 7047 4.1.4). */
  forget(id: number): void {
    const request = this.#waiting.get(id);
    if (request === undefined) return;
    this.#waiting.delete(id);
    if (request.method === 'transact') this.notify('cancel', [id]);
  }

  /** Ends the connection; every request that waits fails with `error`. May be called twice. */
  close(error: OvsdbError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#probe);
    this.#socket.destroy();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.reject(error);
    this.#events.closed(error);
  }

  #read(chunk: Buffer): void {
    this.#heard = true;
    try {
      this.#stream.push(chunk, (document) => {
        if (!this.#closed) this.#dispatch(document);
      });
    } catch (error) {
      this.close(error instanceof ProtocolError ? error : new ProtocolError('cannot take a message', { cause: error }));
    }
  }

  #dispatch(document: unknown): void {
    if (typeof document !== 'object' || document === null) throw new ProtocolError('a message is not an object');
    const message = document as Record<string, unknown>;
    if (typeof message.method === 'string') {
      if (!Array.isArray(message.params)) throw new ProtocolError('a message without params');
      this.#called(message.method, message.params, message.id);
    } else if ('result' in message || 'error' in message) {
      this.#answered(message);
    } else {
      throw new ProtocolError('a message is neither a request nor an answer');
    }
  }

  #called(method: string, params: readonly unknown[], id: unknown): void {
    if (id === null || id === undefined) {
      this.#events.notification(method, params);
    } else if (method === 'echo') {
      this.#write(this.#encode({ result: params, error: null, id })); // RFC 7047 4.1.11
    } else {
      this.#write(this.#encode({ result: null, error: 'unknown method', id }));
    }
  }

  #answered(message: Record<string, unknown>): void {
    const { id } = message;
    const request = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    if (typeof id !== 'number' || request === undefined) return; // late, or not ours
    this.#waiting.delete(id);
    this.#events.answered();
    if (message.error === null || message.error === undefined) request.resolve(message.result);
    else request.reject(new RequestError(request.method, peerError(message.error) ?? { error: 'unknown error' }));
  }

  #checkActivity(): void {
    if (this.#heard) {
      this.#heard = false;
      this.#probing = false;
    } else if (this.#probing) {
      this.close(new ConnectionLostError('the server does not answer'));
    } else {
      this.#probing = true;
      this.request('echo', [], { resolve: () => undefined, reject: () => undefined });
    }
  }

  #encode(message: object): string {
    const text = JSON.stringify(message);
    if (text.length > this.#options.maxSendBytes || Buffer.byteLength(text) > this.#options.maxSendBytes) {
      throw new EncodeError(`a message is longer than ${this.#options.maxSendBytes} bytes`);
    }
    return text;
  }

  #write(text: string): void {
    this.#socket.write(text);
    if (this.#socket.writableLength > 2 * this.#options.maxSendBytes) {
      this.close(new ConnectionLostError('the server does not read'));
    }
  }
}
