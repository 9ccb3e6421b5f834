import { DpuError, toDpuError } from '../../core/errors.ts';
import { type Clock, timestamp } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { Membership } from '../../schemas/generated/rest.ts';
import type { NodeMonitor } from './node-monitor.ts';
import { within } from './within.ts';

/** What leaving and joining works with. */
export interface MembershipParts {
  readonly store: Pick<NodeStore, 'setting' | 'setSetting' | 'liveInstances' | 'unendedOperations'>;
  readonly monitor: Pick<NodeMonitor, 'reason' | 'publish' | 'flush'>;
  readonly adapters: readonly PlatformAdapter[];
  readonly clock: Clock;
  readonly log: Log;
  /** How long a stop lets an adapter answer what it has in hand. */
  readonly drainMs: number;
}

/** Whether the node belongs to its platform; kept over restarts. */
export interface MembershipKeeper {
  view(): Membership;
  /** Says at once that the node has left, where it has. */
  recall(): void;
  /** Lets the platforms in, unless the node has left. */
  start(): Promise<void>;
  /**
   * Leaves: the platform is told once more, with the reason `leaving`, and then neither heard nor told until `join`.
   * Twice is once. @throws `bad_state` while there are instances (`force` leaves them as they are) or operations.
   */
  leave(reason: string | null, force: boolean): Promise<void>;
  join(): Promise<void>;
}

const key = 'left';
/** How long the last report has to reach the platform, in milliseconds. */
const reportMs = 15_000;

/** Makes a keeper. */
export function createMembership({ store, monitor, adapters, clock, log, drainMs }: MembershipParts): MembershipKeeper {
  const left = (): { readonly since: string; readonly reason: string | null } | null => {
    const text = store.setting(key);
    return text === null ? null : (JSON.parse(text) as { since: string; reason: string | null });
  };

  function tell(): void {
    const now = left();
    monitor.reason('leaving', now && `the node has left its platform${now.reason === null ? '' : `: ${now.reason}`}`);
  }

  async function report(adapter: PlatformAdapter): Promise<void> {
    if (!adapter.flush || !adapter.connected()) {
      log.warn('the platform cannot be told that the node leaves', { adapter: adapter.name });
      return;
    }
    const flush = adapter.flush.bind(adapter);
    try {
      await within(clock, reportMs, (signal) => flush(signal));
    } catch (error) {
      log.warn('the platform was not told in time that the node leaves', {
        adapter: adapter.name,
        error: toDpuError(error, 'the last report failed'),
      });
    }
  }

  return {
    view() {
      const now = left();
      return { member: now === null, since: now?.since ?? null, reason: now?.reason ?? null };
    },
    recall: tell,
    async start() {
      if (left() === null) await Promise.all(adapters.map((adapter) => adapter.start()));
      else log.warn('the node has left its platform; it is neither heard nor told until it joins');
    },
    async leave(reason, force) {
      const running = store.unendedOperations();
      if (running.length > 0) {
        throw new DpuError('bad_state', 'operations have not ended', {
          details: { operations: running.map(({ id }) => id) },
        });
      }
      const instances = store.liveInstances();
      if (instances.length > 0 && !force) {
        const details = { instances: instances.map(({ id }) => id) };
        throw new DpuError(
          'bad_state',
          'there are instances: destroy them, or leave them as they are with `force` (dpuctl: --force)',
          {
            details,
          },
        );
      }
      if (left() === null) await store.setSetting(key, JSON.stringify({ since: timestamp(clock), reason }));
      tell();
      monitor.flush();
      await Promise.all(adapters.map(report));
      await Promise.all(adapters.map((adapter) => adapter.stop(drainMs)));
      log.warn('the node has left its platform', { instances: instances.length });
    },
    async join() {
      if (left() === null) return;
      await store.setSetting(key, null);
      tell();
      monitor.publish();
      await Promise.all(adapters.map((adapter) => adapter.start()));
      log.info('the node has joined its platform again');
    },
  };
}
