import type { Duplex } from 'node:stream';
import { type CallOptions, withDeadline } from './deadline.ts';
import {
  ClosedError,
  ConnectionLostError,
  commandErrorOf,
  LimitError,
  OobUnavailableError,
  QmpTimeoutError,
} from './errors.ts';
import { type EventOptions, EventQueue, type QmpEvents } from './event-queue.ts';
import { LineFramer } from './lines.ts';
import { type Message, readMessage } from './messages.ts';
import { scrub } from './scrub.ts';

/** Why a session ended: by its owner, or lost, with the error of the socket or of the protocol where there was one. */
export type CloseReason = { readonly by: 'owner' } | { readonly by: 'peer'; readonly error: Error };

/** Limits of a session. */
export interface SessionLimits {
  readonly maxMessageBytes: number;
  readonly maxCommandBytes: number;
  readonly maxInFlight: number;
  readonly maxQueued: number;
}

interface Running {
  readonly name: string;
  readonly args: object | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Waiting = Running & { readonly id: number; readonly bytes: Buffer };

/** The state of one connection: commands by id, readers of events, and how it ended. */
export class Session {
  /** The first message, which has to be the greeting. */
  readonly first: Promise<Message>;
  readonly closed: Promise<CloseReason>;
  readonly #stream: Duplex;
  readonly #limits: SessionLimits;
  readonly #first = Promise.withResolvers<Message>();
  readonly #closed = Promise.withResolvers<CloseReason>();
  readonly #waiting: Waiting[] = [];
  /** In-band commands that QEMU has. One whose caller gave up stays: QEMU answers it, in its turn. */
  readonly #inFlight = new Map<number, Running>();
  readonly #oob = new Map<number, Running>();
  readonly #queues = new Set<EventQueue>();
  #lastId = 0;
  #greeted = false;
  #over: Error | undefined;

  constructor(stream: Duplex, limits: SessionLimits) {
    this.#stream = stream;
    this.#limits = limits;
    this.first = this.#first.promise;
    this.closed = this.#closed.promise;
    this.first.catch(() => undefined); // who connects hears of it; nobody else waits
    const framer = new LineFramer(limits.maxMessageBytes);
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const line of framer.push(chunk)) {
          if (this.#over !== undefined) return;
          this.#onMessage(readMessage(line));
        }
      } catch (error) {
        this.#lose(error);
      }
    });
    stream.once('error', (error) => this.#lose(error));
    stream.once('end', () => this.#lose(new ConnectionLostError('the peer ended the QMP session')));
    stream.once('close', () => this.#lose(new ConnectionLostError()));
  }

  /** Runs a command in band, when its turn has come. */
  run(name: string, args: object | undefined, call: CallOptions, limitMs: number): Promise<unknown> {
    return this.#guard(name, call, limitMs, (running, id) => {
      const bytes = this.#encode('execute', id, name, args);
      if (this.#waiting.length >= this.#limits.maxQueued) {
        throw new LimitError(`${this.#limits.maxQueued} commands are waiting already`);
      }
      const waiting = { ...running, args, id, bytes };
      this.#waiting.push(waiting);
      this.#flush();
      return () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
      };
    });
  }

  /** Runs a command out of band, at once. */
  async runOob(
    enabled: boolean,
    name: string,
    args: object | undefined,
    call: CallOptions,
    limitMs: number,
  ): Promise<unknown> {
    if (!enabled) throw new OobUnavailableError();
    return this.#guard(name, call, limitMs, (running, id) => {
      const bytes = this.#encode('exec-oob', id, name, args);
      if (this.#oob.size >= this.#limits.maxQueued) throw new LimitError('too many out-of-band commands');
      this.#oob.set(id, { ...running, args });
      this.#stream.write(bytes);
      return () => void this.#oob.delete(id);
    });
  }

  /** A reader of the events from now on. */
  events(options: EventOptions): QmpEvents {
    const queue = new EventQueue(options, (ended) => this.#queues.delete(ended));
    this.#queues.add(queue);
    if (this.#over !== undefined) queue.end(this.#over);
    return queue;
  }

  /** Ends the session by the owner's will. */
  close(): void {
    this.#end({ by: 'owner' }, new ClosedError());
  }

  async #guard(
    name: string,
    call: CallOptions,
    limitMs: number,
    start: (running: Omit<Running, 'args'>, id: number) => () => void,
  ): Promise<unknown> {
    if (this.#over !== undefined) throw this.#over;
    call.signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#lastId += 1;
    const giveUp = start({ name, resolve, reject }, this.#lastId);
    const limit = call.timeoutMs ?? limitMs;
    try {
      return await withDeadline(
        call,
        limit,
        () => new QmpTimeoutError(name, limit),
        () => promise,
      );
    } finally {
      giveUp();
    }
  }

  #encode(verb: 'execute' | 'exec-oob', id: number, name: string, args: object | undefined): Buffer {
    const bytes = Buffer.from(`${JSON.stringify({ [verb]: name, id, arguments: args })}\n`);
    if (bytes.length <= this.#limits.maxCommandBytes) return bytes;
    throw new LimitError(`${name}: the command is longer than ${this.#limits.maxCommandBytes} bytes`);
  }

  #flush(): void {
    while (this.#over === undefined && this.#inFlight.size < this.#limits.maxInFlight) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#inFlight.set(next.id, next);
      this.#stream.write(next.bytes);
    }
  }

  #onMessage(message: Message): void {
    if (!this.#greeted) {
      this.#greeted = true;
      this.#first.resolve(message);
      return;
    }
    if (message.kind === 'greeting') return;
    if (message.kind === 'event') {
      for (const queue of [...this.#queues]) queue.push(message.event);
      return;
    }
    const running = typeof message.id === 'number' ? this.#take(message.id) : undefined;
    // an answer without an id of ours is to something that this client did not send, or no longer waits for
    if (running === undefined) return;
    if (message.kind === 'return') running.resolve(message.value);
    else {
      const desc = scrub(message.desc, running.args);
      running.reject(commandErrorOf({ command: running.name, errorClass: message.errorClass, desc }));
    }
    this.#flush();
  }

  #take(id: number): Running | undefined {
    const running = this.#inFlight.get(id) ?? this.#oob.get(id);
    this.#inFlight.delete(id);
    this.#oob.delete(id);
    return running;
  }

  #lose(cause: unknown): void {
    const error = cause instanceof Error ? cause : new ConnectionLostError();
    const lost = error instanceof ConnectionLostError ? error : new ConnectionLostError(undefined, { cause: error });
    this.#first.reject(error);
    this.#end({ by: 'peer', error }, lost);
  }

  #end(reason: CloseReason, error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#stream.on('error', () => undefined); // it is over: what the socket still says is of no use
    this.#stream.destroy();
    this.#first.reject(error);
    for (const each of [...this.#waiting.splice(0), ...this.#inFlight.values(), ...this.#oob.values()])
      each.reject(error);
    this.#inFlight.clear();
    this.#oob.clear();
    for (const queue of [...this.#queues]) queue.end(reason.by === 'owner' ? undefined : error);
    this.#closed.resolve(reason);
  }
}
