import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { SimConnection, SimWorld } from '../../drivers/sim/world.ts';
import { type SimNode, type SimNodeOptions, startSimNode } from '../support/sim-node.ts';
import { errorText } from './trace.ts';

/** Where a life is. A failed start is what a process that exits at once is. */
export type LifeState = 'starting' | 'up' | 'failed' | 'stopping' | 'stopped' | 'dead';

/** One life of the daemon's process; it can be killed between any two things that it does. */
export interface Life {
  state(): LifeState;
  /** There from the moment that it is up. */
  node(): SimNode | null;
  /** Why the start failed, or what ended it. */
  reason(): string;
  /** SIGKILL: no write, effect, timer or answer of it comes after this. */
  kill(): void;
  /** Kills it before or behind the n-th write from now on, or before or behind the n-th effect on the world. */
  killAt(what: 'write' | 'effect', side: 'before' | 'behind', count: number): void;
  /** SIGTERM. */
  stop(): void;
  /** Gives the store's file back, once it is dead or its start failed. */
  bury(): Promise<void>;
}

/** How a life begins. */
export interface LifeOptions extends Omit<SimNodeOptions, 'clock' | 'wrapStore' | 'onFatal' | 'adapters'> {
  readonly clock: Clock;
  /** Connects a life to the world. */
  readonly connect: () => SimConnection;
  /** Told behind every effect on the world. */
  readonly onEffect: () => void;
  /** Told when a life that was asked to stop says that nothing may go on. */
  readonly onLate: (error: string) => void;
  readonly adapters: (service: ComputeService, store: NodeStore, clock: Clock) => readonly PlatformAdapter[];
  readonly world: SimWorld;
}

const writes: readonly (keyof NodeStore)[] = [
  'write',
  'readSecret',
  'accept',
  'supersede',
  'change',
  'adopt',
  'allocatePort',
  'releasePort',
  'putPort',
  'castDelivered',
  'reportAllInstances',
  'setIdentity',
  'setSetting',
  'audit',
  'prune',
];

/** Begins a life. What it waits for is the virtual clock's. */
export function beginLife(options: LifeOptions): Life {
  const { world, clock } = options;
  let state: LifeState = 'starting';
  let node: SimNode | null = null;
  let reason = '';
  let raw: NodeStore | undefined;
  let connection: SimConnection | undefined;
  let buried = false;
  let fuse: { readonly what: string; readonly side: string; left: number } | undefined;
  const timers = new Set<Timer>();
  const dead = (): boolean => state === 'dead';

  function kill(): void {
    if (state === 'dead' || state === 'stopped' || state === 'failed') return;
    state = 'dead';
    connection?.drop();
    for (const timer of timers) timer.cancel();
    timers.clear();
    world.hooks.beforeEffect = () => {};
    world.hooks.afterEffect = () => {};
  }

  function pass(what: 'write' | 'effect', side: 'before' | 'behind'): void {
    if (fuse?.what !== what || fuse.side !== side || dead()) return;
    fuse.left -= 1;
    if (fuse.left > 0) return;
    reason = `killed ${side} a ${what}`;
    kill();
  }

  const mortal: Clock = {
    monotonicMs: clock.monotonicMs,
    wallMs: clock.wallMs,
    timer(ms, callback) {
      if (dead()) return { cancel: () => {} };
      const timer = clock.timer(ms, () => {
        timers.delete(timer);
        callback();
      });
      timers.add(timer);
      return {
        cancel() {
          timers.delete(timer);
          timer.cancel();
        },
      };
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        const onAbort = (): void => {
          timer.cancel();
          reject(signal?.reason);
        };
        const timer = mortal.timer(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
  };

  function wrapStore(store: NodeStore): NodeStore {
    raw = store;
    const wrapped = { ...store };
    for (const name of writes) {
      const call = store[name] as (...args: unknown[]) => Promise<unknown>;
      const replaced = async (...args: unknown[]): Promise<unknown> => {
        pass('write', 'before');
        if (dead()) return never();
        try {
          const answer = await call(...args);
          pass('write', 'behind');
          return dead() ? never() : answer;
        } catch (error) {
          if (dead()) return never();
          throw error;
        }
      };
      Object.assign(wrapped, { [name]: replaced });
    }
    return { ...wrapped, onCommit: (listener) => store.onCommit((notice) => (dead() ? undefined : listener(notice))) };
  }

  const view: SimWorld = {
    ...world,
    connect() {
      connection = options.connect();
      return connection;
    },
    onPeerRestart: (listener) => world.onPeerRestart((peer) => (dead() ? undefined : listener(peer))),
  };
  world.hooks.beforeEffect = () => pass('effect', 'before');
  world.hooks.afterEffect = () => {
    options.onEffect();
    pass('effect', 'behind');
  };

  startSimNode({
    ...options,
    adapters: (service, store) => options.adapters(service, store, mortal),
    world: view,
    clock: mortal,
    wrapStore,
    onFatal(error) {
      if (dead()) return;
      if (state === 'stopping' || state === 'stopped') options.onLate(errorText(error));
      reason = `fatal: ${errorText(error)}`;
      kill();
    },
  }).then(
    (started) => {
      if (dead()) return;
      node = started;
      state = 'up';
    },
    (error: unknown) => {
      if (dead()) return;
      reason = errorText(error);
      kill();
      state = 'failed';
    },
  );

  return {
    state: () => state,
    node: () => (state === 'up' || state === 'stopping' ? node : null),
    reason: () => reason,
    kill,
    killAt(what, side, count) {
      fuse = { what, side, left: count };
    },
    stop() {
      if (state !== 'up' || !node) return;
      state = 'stopping';
      node.stop().then(
        () => {
          if (!dead()) state = 'stopped';
        },
        (error: unknown) => {
          reason = `stop: ${errorText(error)}`;
        },
      );
    },
    async bury() {
      if (buried || state === 'stopped') return;
      buried = true;
      await raw?.close();
    },
  };
}

function never(): Promise<never> {
  return new Promise(() => {});
}
