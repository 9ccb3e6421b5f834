import type { InstanceId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import { readInstanceView } from './views.ts';

/** Casts that wait for the platform, as the writer sees them. */
export interface Outbox {
  /** Adds the report of an instance as it now is. */
  report(instance: InstanceId): void;
  delivered(seq: number): void;
}

/** An outbox of a node with no platform that takes reports: what another setting left there goes. */
function noOutbox(sql: Sql): Outbox {
  sql('DELETE FROM outbox').run();
  return { report() {}, delivered() {} };
}

/**
 * The outbox, held to about `cap` casts: above it, casts that a newer one of the same instance supersedes are dropped.
 * The count that this hangs on may be too high after a batch was rolled back; it is counted anew before anything is dropped.
 * A cap of 0: there is none.
 */
export function createOutbox(sql: Sql, cap: number): Outbox {
  if (cap === 0) return noOutbox(sql);
  const count = (): number => sql('SELECT count(*) FROM outbox').pluck().get() as number;
  let waiting = count();
  let limit = cap;
  function shrink(): void {
    waiting = count();
    if (waiting <= cap) {
      limit = cap;
      return;
    }
    waiting -= sql(`
      DELETE FROM outbox WHERE instance IS NOT NULL
        AND seq < (SELECT max(seq) FROM outbox AS newer WHERE newer.instance = outbox.instance)
    `).run().changes;
    // With more instances than the cap nothing more can go; looked at again only once it grew by a tenth.
    limit = Math.max(cap, Math.ceil(waiting * 1.1));
  }
  return {
    report(instance) {
      const view = readInstanceView(sql, instance);
      if (!view) return;
      sql("INSERT INTO outbox (method, args, instance) VALUES ('report_instance_status', ?, ?)").run(
        JSON.stringify(view),
        instance,
      );
      waiting += 1;
      if (waiting > limit) shrink();
    },
    delivered(seq) {
      waiting -= sql('DELETE FROM outbox WHERE seq = ?').run(seq).changes;
    },
  };
}
