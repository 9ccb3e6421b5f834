import {
  ClosedError,
  CommandError,
  ConnectionLostError,
  connectQmp,
  type QmpClient,
  QmpTimeoutError,
} from 'qmp-client';
import { DpuError } from '../../../core/errors.ts';
import type { Clock, Timer } from '../../../core/ports/clock.ts';

/** A QMP session with the host that is made anew whenever it was lost: QEMU may be killed and started again at any time. */
export interface HostSession {
  /** Runs `work` in the session. @throws `unavailable`, `timeout`, `hardware`; what `work` throws as a DpuError; the signal's reason. */
  run<T>(doing: string, work: (qmp: QmpClient) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Calls back when the host may have changed by itself, and whenever the session was made anew. */
  watch(changed: () => void): () => void;
  close(): void;
}

/** Events after which functions may be others than before (QEMU QMP Reference Manual). */
const watched = ['DEVICE_DELETED', 'DEVICE_UNPLUG_GUEST_ERROR', 'RESET', 'SHUTDOWN', 'RESUME', 'STOP'] as const;

/** Connects when it is first needed, or at once while somebody watches. */
export function createHostSession(options: {
  readonly path: string;
  readonly clock: Clock;
  readonly commandTimeoutMs: number;
  readonly reconnectMs: number;
}): HostSession {
  const watchers = new Set<() => void>();
  let current: Promise<QmpClient> | null = null;
  let retry: Timer | null = null;
  let closed = false;

  const tell = (): void => {
    for (const each of watchers) each();
  };
  const connect = (): Promise<QmpClient> => {
    if (closed) return Promise.reject(new DpuError('unavailable', 'the backend is closed'));
    current ??= open();
    return current;
  };
  const open = async (): Promise<QmpClient> => {
    const { path, commandTimeoutMs } = options;
    try {
      const qmp = await connectQmp({ path }, { connectTimeoutMs: commandTimeoutMs, timeoutMs: commandTimeoutMs });
      void qmp.closed.then(lost);
      void follow(qmp);
      tell();
      return qmp;
    } catch (error) {
      lost();
      throw new DpuError('unavailable', "the host's machine does not answer", { cause: error });
    }
  };
  const lost = (): void => {
    current = null;
    tell();
    keepUp();
  };
  /** While somebody watches there is a session, or the next try is due. */
  const keepUp = (): void => {
    if (closed || watchers.size === 0 || current !== null || retry !== null) return;
    retry = options.clock.timer(options.reconnectMs, () => {
      retry = null;
      connect().catch(() => {}); // it has set the timer anew
    });
  };
  const follow = async (qmp: QmpClient): Promise<void> => {
    try {
      for await (const _event of qmp.events({ names: watched })) tell();
    } catch {
      // the session was lost, and `lost` has been told
    }
  };

  return {
    run: async (doing, work, signal) => {
      signal?.throwIfAborted();
      try {
        const qmp = await settledOrAborted(connect(), signal);
        if (closed) qmp.close();
        return await work(qmp);
      } catch (error) {
        signal?.throwIfAborted();
        throw translate(doing, error);
      }
    },
    watch: (changed) => {
      watchers.add(changed);
      if (current === null) connect().catch(() => {}); // it has set the timer
      return () => {
        watchers.delete(changed);
        if (watchers.size > 0) return;
        retry?.cancel();
        retry = null;
      };
    },
    close: () => {
      closed = true;
      watchers.clear();
      retry?.cancel();
      retry = null;
      current?.then(
        (qmp) => qmp.close(),
        () => {}, // there is none to close
      );
    },
  };
}

/** As `work`, or rejects with the signal's reason when aborted first. */
async function settledOrAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function translate(doing: string, error: unknown): DpuError {
  if (error instanceof DpuError) return error;
  const cause = { cause: error };
  if (error instanceof ConnectionLostError || error instanceof ClosedError) {
    return new DpuError('unavailable', `${doing}: the host's machine went away`, cause);
  }
  if (error instanceof QmpTimeoutError) return new DpuError('timeout', `${doing}: the host's machine hangs`, cause);
  if (error instanceof CommandError) return new DpuError('hardware', `${doing}: refused by the host's machine`, cause);
  return new DpuError('internal', doing, cause);
}
