import { DpuError } from '../../core/errors.ts';
import type { SimContext } from './context.ts';
import type { SimPeer } from './faults.ts';

/** A call of a port's method. */
export interface SimCall<Result> {
  readonly method: string;
  /** Id of what it is about: what hooks and faults are told. */
  readonly key: string;
  readonly signal: AbortSignal | undefined;
  /** It changes nothing: no hooks. */
  readonly reads?: boolean;
  /** Runs before the effect; what it waits for ends with the call. */
  before?(wait: (ms: number) => Promise<void>): Promise<void>;
  /** The whole effect, in one piece. */
  effect(): Result;
  /** Runs after the effect, before the answer. */
  after?(wait: (ms: number) => Promise<void>): Promise<void>;
}

/** One life of the daemon, as the peers see it. */
export interface SimClient {
  dropped: boolean;
  readonly inFlight: Set<AbortController>;
}

/** A peer's own state: calls that it has not answered. */
export interface PeerLink {
  readonly inFlight: Set<AbortController>;
}

/** Makes calls of one peer for one client. */
export type Caller = <Result>(call: SimCall<Result>) => Promise<Result>;

class PeerLost extends DpuError {}

/** Fails every call in flight: the peer was restarted. */
export function loseInFlight(port: SimPeer, link: PeerLink): void {
  for (const stop of [...link.inFlight]) stop.abort(new PeerLost('unavailable', `${port} was restarted during a call`));
}

/** Ends every call of a client for good: neither an answer nor a later effect, as for a killed process. */
export function dropClient(client: SimClient): void {
  client.dropped = true;
  for (const stop of [...client.inFlight]) stop.abort(new DpuError('unavailable', 'the caller is gone'));
}

/** How calls of a peer go: latency, faults, hooks, and the effect in one piece between them. */
export function callerOf(context: SimContext, port: SimPeer, link: PeerLink, client: SimClient): Caller {
  const { clock, faults, hooks } = context;
  return async (call) => {
    const at = { port, method: call.method, key: call.key };
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(call.signal?.reason);
    const wait = (ms: number): Promise<void> => clock.sleep(ms, stop.signal);
    const requireUp = (): void => {
      if (faults.peek(at, 'down')) throw new DpuError('unavailable', `${port} is down`);
    };
    if (client.dropped) return forever();
    call.signal?.throwIfAborted();
    call.signal?.addEventListener('abort', onAbort, { once: true });
    link.inFlight.add(stop);
    client.inFlight.add(stop);
    try {
      requireUp();
      if (faults.take(at, 'hang')) await aborted(stop.signal);
      const delay = context.options.latencyMs + (faults.take(at, 'slow')?.ms ?? 0);
      if (delay > 0) await wait(delay);
      requireUp();
      const failure = faults.take(at, 'fail-once', 'fail', 'fail-always');
      if (failure) throw new DpuError(failure.code ?? 'unavailable', `${port} ${call.method} failed as ordered`);
      await call.before?.(wait);
      if (!call.reads) await hooks.beforeEffect?.(port, call.method, call.key);
      stop.signal.throwIfAborted();
      const outcome = context.atomically(() => attempt(context, call));
      if ('error' in outcome) throw outcome.error;
      const { result } = outcome;
      if (!call.reads) await hooks.afterEffect?.(port, call.method, call.key);
      await call.after?.(wait);
      if (stop.signal.reason instanceof PeerLost) throw stop.signal.reason;
      const lost = faults.take(at, 'lost-answer');
      if (lost?.ms !== undefined) await wait(lost.ms);
      if (lost) throw new DpuError('timeout', `${port} did not answer ${call.method} in time`);
      return result;
    } catch (error) {
      if (client.dropped) return forever();
      throw error;
    } finally {
      call.signal?.removeEventListener('abort', onAbort);
      link.inFlight.delete(stop);
      client.inFlight.delete(stop);
    }
  };
}

/** The effect; a refusal is an outcome too, so that what it recorded is kept. */
function attempt<Result>(
  context: SimContext,
  call: SimCall<Result>,
): { readonly result: Result } | { readonly error: unknown } {
  context.host.settle();
  try {
    return { result: call.effect() };
  } catch (error) {
    return { error };
  }
}

function forever(): Promise<never> {
  return new Promise(() => {});
}

/** Rejects with the signal's reason once it is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
