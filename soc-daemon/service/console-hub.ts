import type { Duplex } from 'node:stream';
import { toDpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ConsoleLog, ConsoleSeat, ConsoleWatcher, HostConsole } from '../../core/ports/host-console.ts';
import type { Log } from '../../core/ports/log.ts';
import type { InstanceId } from '../../core/units.ts';

/** What the hub works with. */
export interface ConsoleHubParts {
  readonly console: HostConsole;
  readonly logOf: (instance: InstanceId) => ConsoleLog;
  readonly clock: Clock;
  readonly log: Log;
}

/** The one console session of the host, shared: many watch, one writes, the log is kept whether or not anybody looks. */
export interface ConsoleHub {
  /** Whose the host is now; null: nobody's. What the one before had open is ended. */
  assign(instance: InstanceId | null): void;
  /** A place at the instance's console; null where the host is not this instance's. The first to come writes. */
  join(instance: InstanceId, watcher: ConsoleWatcher): ConsoleSeat | null;
  /** The last of what it showed. */
  history(instance: InstanceId, bytes: number): Promise<Buffer>;
  /** Erases what an instance's console showed. */
  forget(instance: InstanceId): Promise<void>;
  close(): void;
}

const firstDelayMs = 500;
const maxDelayMs = 30_000;
/** Bytes that may be typed while the session is opened anew, or faster than the BMC takes them. */
const maxWaiting = 4096;

/** Makes the hub; it opens the console once an instance has the host. */
export function createConsoleHub(parts: ConsoleHubParts): ConsoleHub {
  const { clock, log } = parts;
  let owner: { readonly instance: InstanceId; readonly log: ConsoleLog; readonly ended: AbortController } | null = null;
  let stream: Duplex | null = null;
  /** One object for each instance that had the host: what it still has to write comes before it is read or erased. */
  const logs = new Map<InstanceId, ConsoleLog>();
  const seats = new Map<ConsoleWatcher, ConsoleSeat>();
  let waiting: Buffer = Buffer.alloc(0);
  let writer: ConsoleWatcher | null = null;

  function setWriter(next: ConsoleWatcher | null): void {
    if (writer === next) return;
    const before = writer;
    writer = next;
    if (before !== null && seats.has(before)) before.role(false);
    next?.role(true);
  }

  /** Keeps the session open as long as the host is the instance's. */
  async function follow(of: NonNullable<typeof owner>): Promise<void> {
    let delayMs = firstDelayMs;
    let told = false;
    while (!of.ended.signal.aborted) {
      try {
        const opened = await parts.console.open(of.ended.signal);
        delayMs = firstDelayMs;
        told = false;
        await drain(of, opened);
      } catch (error) {
        if (of.ended.signal.aborted) return;
        if (!told)
          log.warn('the console cannot be opened; it is tried again', {
            error: toDpuError(error, 'opening the console'),
          });
        told = true;
      }
      await clock.sleep(delayMs, of.ended.signal).catch(() => {});
      delayMs = Math.min(delayMs * 2, maxDelayMs);
    }
  }

  async function drain(of: NonNullable<typeof owner>, opened: Duplex): Promise<void> {
    const over = Promise.withResolvers<void>();
    const stop = (): void => void opened.destroy();
    of.ended.signal.addEventListener('abort', stop, { once: true });
    opened.on('data', (bytes: Buffer) => {
      of.log.append(bytes);
      for (const watcher of seats.keys()) watcher.show(bytes);
    });
    opened.on('error', (error: Error) => log.info('the console session broke off', { error }));
    opened.on('end', stop);
    opened.on('close', () => over.resolve());
    stream = opened;
    if (waiting.length > 0) opened.write(waiting);
    waiting = Buffer.alloc(0);
    if (of.ended.signal.aborted) stop();
    await over.promise;
    if (stream === opened) stream = null; // the next instance's may be open already
    of.ended.signal.removeEventListener('abort', stop);
  }

  function vacate(): void {
    owner?.ended.abort();
    void owner?.log.close();
    owner = null;
    writer = null;
    waiting = Buffer.alloc(0);
    const all = [...seats.keys()];
    seats.clear();
    for (const watcher of all) watcher.end();
  }

  return {
    assign(instance) {
      if (owner?.instance === instance || (owner === null && instance === null)) return;
      vacate();
      if (instance === null) return;
      const kept = logs.get(instance) ?? parts.logOf(instance);
      logs.set(instance, kept);
      owner = { instance, log: kept, ended: new AbortController() };
      void follow(owner);
    },
    join(instance, watcher) {
      if (owner?.instance !== instance) return null;
      const seat: ConsoleSeat = {
        type(bytes) {
          if (writer !== watcher || waiting.length + bytes.length > maxWaiting) return false;
          if (stream === null || stream.destroyed) waiting = Buffer.concat([waiting, bytes]);
          else if (stream.writableLength > maxWaiting) return false;
          else stream.write(bytes);
          return true;
        },
        take: () => {
          if (seats.has(watcher)) setWriter(watcher);
        },
        leave() {
          seats.delete(watcher);
          if (writer === watcher) setWriter(seats.keys().next().value ?? null);
        },
      };
      seats.set(watcher, seat);
      if (writer === null) setWriter(watcher);
      else watcher.role(false);
      return seat;
    },
    history: async (instance, bytes) => await (logs.get(instance) ?? parts.logOf(instance)).read(bytes),
    async forget(instance) {
      const kept = logs.get(instance) ?? parts.logOf(instance);
      logs.delete(instance);
      await kept.remove();
    },
    close: vacate,
  };
}
