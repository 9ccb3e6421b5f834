import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { QmpCommands } from './commands.ts';
import { type CallOptions, withDeadline } from './deadline.ts';
import { ConnectionLostError, ProtocolError, QmpTimeoutError } from './errors.ts';
import type { EventOptions, QmpEvents, ReceivedEvent } from './event-queue.ts';
import type { Greeting } from './messages.ts';
import { type CloseReason, Session } from './session.ts';

/** Where the monitor listens; or a stream that is connected to it already. */
export type QmpAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly stream: Duplex };

/** Options of {@link connectQmp}. */
export interface QmpOptions {
  /** Deadline for the connection, the greeting and the negotiation together; default 10,000 ms. */
  readonly connectTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Deadline of a command that gives none; default 30,000 ms. */
  readonly timeoutMs?: number;
  /** Whether to enable out-of-band execution where it is offered; default true. */
  readonly oob?: boolean;
  /** Longest message of the peer in bytes; default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Longest command in bytes; default 1 MiB. */
  readonly maxCommandBytes?: number;
  /**
   * Commands that QEMU may have before it; more wait here. Default 7: with out-of-band enabled QEMU stops to read at 8
   * (qmp-spec 2.3.1), and would then not hear an out-of-band command either.
   */
  readonly maxInFlight?: number;
  /** Commands that may wait here; more are refused. Default 1,024. */
  readonly maxQueued?: number;
}

/** The arguments of a typed command. */
export type ExecuteArgs<Args> = [Args] extends [undefined]
  ? [args?: undefined, options?: CallOptions]
  : Record<never, never> extends Args
    ? [args?: Args, options?: CallOptions]
    : [args: Args, options?: CallOptions];

/** What {@link QmpClient.waitForEvent} waits for. */
export interface WaitOptions extends CallOptions {
  /** Only an event whose data it accepts. */
  readonly match?: (data: Readonly<Record<string, unknown>>) => boolean;
}

/** One QMP session, from the greeting to the end of the connection. It is not made again by itself: connect anew. */
export interface QmpClient {
  readonly greeting: Greeting;
  /** Whether out-of-band execution is enabled. */
  readonly oob: boolean;
  /** Settles when the session is over, with the reason; never rejects. */
  readonly closed: Promise<CloseReason>;
  /** Runs a typed command. Rejects with CommandError, QmpTimeoutError, ConnectionLostError, ClosedError, LimitError or the signal's reason. */
  execute<N extends keyof QmpCommands>(
    name: N,
    ...args: ExecuteArgs<QmpCommands[N]['args']>
  ): Promise<QmpCommands[N]['returns']>;
  /** Runs any command. */
  executeAny(name: string, args?: object, options?: CallOptions): Promise<unknown>;
  /** Runs a command out of band, past all that wait (qmp-spec 2.3.1); few commands allow it. Rejects with OobUnavailableError too. */
  executeOob(name: string, args?: object, options?: CallOptions): Promise<unknown>;
  /** Events from now on. Ends when the client is closed, and with ConnectionLostError when the session was lost. */
  events(options?: EventOptions): QmpEvents;
  /** The first event of this name from now on: call it before the command that causes it. */
  waitForEvent(name: string, options?: WaitOptions): Promise<ReceivedEvent>;
  /** Ends the session and what is under way in it. May be called twice. */
  close(): void;
}

/**
 * Connects to a monitor, reads its greeting and leaves negotiation mode (qmp-spec 2.2, 2.3 and 4).
 * A monitor serves one client at a time: another gets no greeting, and so a QmpTimeoutError, until the first has gone.
 * @throws QmpTimeoutError, ProtocolError, ConnectionLostError, the socket's error, or the signal's reason
 */
export async function connectQmp(address: QmpAddress, options: QmpOptions = {}): Promise<QmpClient> {
  const { connectTimeoutMs = 10_000, timeoutMs = 30_000 } = options;
  const limits = {
    maxMessageBytes: options.maxMessageBytes ?? 16 * 1024 * 1024,
    maxCommandBytes: options.maxCommandBytes ?? 1024 * 1024,
    maxInFlight: options.maxInFlight ?? 7,
    maxQueued: options.maxQueued ?? 1024,
  };
  const call = { timeoutMs: connectTimeoutMs, ...(options.signal && { signal: options.signal }) };
  const stream = 'stream' in address ? address.stream : openSocket(address);
  const session = new Session(stream, limits);
  const error = () => new QmpTimeoutError('greeting', connectTimeoutMs);
  try {
    return await withDeadline(call, connectTimeoutMs, error, () => negotiate());
  } catch (failure) {
    session.close();
    throw failure;
  }

  async function negotiate(): Promise<QmpClient> {
    const first = await session.first;
    if (first.kind !== 'greeting') throw new ProtocolError('the first message is not a greeting');
    const oob = (options.oob ?? true) && first.greeting.capabilities.includes('oob');
    await session.run('qmp_capabilities', oob ? { enable: ['oob'] } : undefined, {}, connectTimeoutMs);
    return makeClient(session, first.greeting, oob, timeoutMs);
  }
}

function openSocket(address: Exclude<QmpAddress, { readonly stream: Duplex }>): Duplex {
  const socket = connect(address);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 10_000);
  return socket;
}

function makeClient(session: Session, greeting: Greeting, oob: boolean, timeoutMs: number): QmpClient {
  return {
    greeting,
    oob,
    closed: session.closed,
    async execute<N extends keyof QmpCommands>(name: N, ...[args, call]: ExecuteArgs<QmpCommands[N]['args']>) {
      return (await session.run(name, args, call ?? {}, timeoutMs)) as QmpCommands[N]['returns'];
    },
    executeAny: (name, args, call = {}) => session.run(name, args, call, timeoutMs),
    async executeOob(name, args, call = {}) {
      return session.runOob(oob, name, args, call, timeoutMs);
    },
    events: (eventOptions) => session.events(eventOptions ?? {}),
    async waitForEvent(name, wait = {}) {
      const limit = wait.timeoutMs ?? timeoutMs;
      using events = session.events({ names: [name] });
      return await withDeadline(
        wait,
        limit,
        () => new QmpTimeoutError(name, limit),
        async () => {
          for (;;) {
            const { done, value } = await events.next();
            if (done === true) throw new ConnectionLostError();
            if (wait.match === undefined || wait.match(value.data)) return value;
          }
        },
      );
    },
    close: () => session.close(),
  };
}
