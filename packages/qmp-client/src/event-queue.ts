import { EventsLostError } from './errors.ts';
import type { QmpEvent } from './messages.ts';

/** An event as an iterator gives it. */
export interface ReceivedEvent extends QmpEvent {
  /** How many events before this one were dropped because they were not read in time; query anew when it is not 0. */
  readonly lost: number;
}

/** What an iterator of events takes, and what it does when it is read too slowly. */
export interface EventOptions {
  /** Only these events; default all. */
  readonly names?: readonly string[];
  /** Most events that wait to be read; default 1,024. */
  readonly limit?: number;
  /** `drop-oldest` (the default) keeps the newest and counts the others in `lost`; `fail` ends with EventsLostError. */
  readonly overflow?: 'drop-oldest' | 'fail';
}

/** Events to be read with `for await`; leaving the loop, or `return()`, ends the subscription. */
export interface QmpEvents extends AsyncIterableIterator<ReceivedEvent, void, undefined>, Disposable {
  return(): Promise<IteratorResult<ReceivedEvent, void>>;
}

type Reader = PromiseWithResolvers<IteratorResult<ReceivedEvent, void>>;

/** A bounded queue between the session, which never waits, and a reader, which may be slow. */
export class EventQueue implements QmpEvents {
  readonly #names: ReadonlySet<string> | undefined;
  readonly #limit: number;
  readonly #fail: boolean;
  readonly #ended: (queue: EventQueue) => void;
  #events: QmpEvent[] = [];
  #readers: Reader[] = [];
  #lost = 0;
  #over = false;
  #error: Error | undefined;

  /** `ended` is called once, when nobody reads any more. */
  constructor(options: EventOptions, ended: (queue: EventQueue) => void) {
    this.#names = options.names === undefined ? undefined : new Set(options.names);
    this.#limit = Math.max(1, options.limit ?? 1024);
    this.#fail = options.overflow === 'fail';
    this.#ended = ended;
  }

  /** Takes an event in; never waits. */
  push(event: QmpEvent): void {
    if (this.#over || (this.#names !== undefined && !this.#names.has(event.event))) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: this.#stamp(event) });
    else if (this.#events.length < this.#limit) this.#events.push(event);
    else if (this.#fail) {
      this.#events = [];
      this.end(new EventsLostError(this.#limit));
    } else {
      this.#events.shift();
      this.#events.push(event);
      this.#lost += 1;
    }
  }

  /** Ends it: what waits can still be read, then it is done, or fails with `error`. */
  end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#ended(this);
    const [first, ...rest] = this.#readers.splice(0);
    if (first === undefined) return;
    this.#finish(first);
    for (const reader of rest) reader.resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<ReceivedEvent, void>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: this.#stamp(event) });
    const reader: Reader = Promise.withResolvers();
    if (this.#over) this.#finish(reader);
    else this.#readers.push(reader);
    return reader.promise;
  }

  return(): Promise<IteratorResult<ReceivedEvent, void>> {
    this.#events = [];
    this.end();
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    void this.return();
  }

  /** An error is told once; after that it is just over. */
  #finish(reader: Reader): void {
    const error = this.#error;
    this.#error = undefined;
    if (error === undefined) reader.resolve({ done: true, value: undefined });
    else reader.reject(error);
  }

  #stamp(event: QmpEvent): ReceivedEvent {
    const lost = this.#lost;
    this.#lost = 0;
    return { ...event, lost };
  }
}
