import { createConnection, type Socket } from 'node:net';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import { abortable } from './abortable.ts';

/** What follows ovs-vswitchd's life. */
export interface BridgeWatch {
  /** Whether ovs-vswitchd serves the bridge now. */
  readonly isUp: boolean;
  /** Whether it is up; waits for the first answer, and not for one that came and went. */
  awaitFirst(ms: number, signal?: AbortSignal): Promise<boolean>;
  close(): void;
}

/** How a bridge is watched. */
export interface BridgeWatchOptions {
  /** The bridge's management socket, `<rundir>/<bridge>.mgmt` (ovs-vswitchd(8)). */
  readonly path: string;
  readonly clock: Clock;
  /** How often it is asked whether it is there, in milliseconds; three times no answer, and it counts as gone. */
  readonly probeMs: number;
  /** Called when ovs-vswitchd came, and after it went. */
  readonly changed: (isUp: boolean) => void;
}

/** OpenFlow 1.5; the peer answers with its own highest if that is lower (OpenFlow 1.3 6.3.1). */
const version = 6;
const types = { hello: 0, echoRequest: 2, echoReply: 3 } as const;
const headerBytes = 8;
const retryMs = { first: 50, most: 2_000 } as const;

/**
 * Holds an OpenFlow connection to a bridge and does nothing with it: OVSDB does not tell when ovs-vswitchd dies or comes back, and
 * with it all flows and meters go. Asks again and again while it is away.
 */
export function watchBridge({ path, clock, probeMs, changed }: BridgeWatchOptions): BridgeWatch {
  let socket: Socket | undefined;
  let timer: Timer | undefined;
  let delay: number = retryMs.first;
  let isUp = false;
  let closed = false;
  const first = Promise.withResolvers<void>();

  function connect(): void {
    let buffered = Buffer.alloc(0);
    let unanswered = 0;
    let spoken: number = version;
    const probe = (): void => {
      if (unanswered >= 3) {
        mine.destroy();
        return;
      }
      unanswered += 1;
      if (isUp) mine.write(message(spoken, types.echoRequest, unanswered));
      timer = clock.timer(probeMs, probe);
    };
    const mine = createConnection(path);
    socket = mine;
    mine.once('connect', () => {
      mine.write(message(version, types.hello, 0));
      timer = clock.timer(probeMs, probe);
    });
    mine.on('data', (chunk) => {
      unanswered = 0;
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= headerBytes) {
        const length = Math.max(buffered.readUInt16BE(2), headerBytes);
        if (buffered.length < length) return;
        spoken = Math.min(version, buffered.readUInt8(0));
        answer(mine, buffered.subarray(0, length));
        buffered = buffered.subarray(length);
      }
    });
    mine.on('error', () => undefined); // `close` follows
    mine.once('close', () => {
      timer?.cancel();
      if (closed) return;
      if (isUp) {
        isUp = false;
        changed(false);
      }
      timer = clock.timer(delay, connect);
      delay = Math.min(delay * 2, retryMs.most);
    });
  }

  function answer(to: Socket, received: Buffer): void {
    const type = received.readUInt8(1);
    if (type === types.hello && !isUp) {
      isUp = true;
      delay = retryMs.first;
      first.resolve();
      changed(true);
    }
    if (type === types.echoRequest) {
      const reply = Buffer.from(received);
      reply.writeUInt8(types.echoReply, 1);
      to.write(reply);
    }
  }

  connect();
  return {
    get isUp() {
      return isUp;
    },
    async awaitFirst(ms, signal) {
      const late = new AbortController();
      const timer = clock.timer(ms, () => late.abort());
      try {
        await abortable(first.promise, signal ? AbortSignal.any([signal, late.signal]) : late.signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (!late.signal.aborted) throw error;
      } finally {
        timer.cancel();
      }
      return isUp;
    },
    close() {
      closed = true;
      isUp = false;
      timer?.cancel();
      socket?.destroy();
    },
  };
}

function message(of: number, type: number, xid: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt8(of, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(headerBytes, 2);
  header.writeUInt32BE(xid, 4);
  return header;
}
