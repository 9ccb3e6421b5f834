import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { Random } from '../../../core/ports/random.ts';
import { defaultAuditPeriod, lastAuditPeriod } from '../notifications/audit-period.ts';
import type { ServerNotifier } from '../notifications/notifier.ts';
import { auditPeriodPayload, legacyAuditPeriod, legacyPayload, versionedPayload } from '../notifications/payloads.ts';
import type { NovaRpc } from '../wire/conductor.ts';
import { novaDate } from '../wire/objects.ts';
import { beginTask, endTask, listActiveInWindow, type TaskRun, taskState } from '../wire/task-logs.ts';
import type { PeriodicTask } from './periodic.ts';
import { ownScope } from './registration.ts';

/** What an audit works with. */
export interface UsageAuditParts {
  readonly nova: NovaRpc;
  readonly notifier: ServerNotifier;
  readonly host: string;
  /** nova's instance_usage_audit_period; absent: a month. */
  readonly period?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How often nova looks whether a period is over. */
const intervalMs = 60_000;

const task = 'instance_usage_audit';

/**
 * nova's _instance_usage_audit: when a period is over, `exists` is told of each server that lived in it on this host, and nova's log of tasks keeps that it
 * was. An audit that a restart has cut is made again.
 */
export function usageAudit(parts: UsageAuditParts): PeriodicTask {
  const { nova, notifier, host, period = defaultAuditPeriod, clock, log } = parts;
  /** End of the last period that is known to be told of. */
  let doneUntil = 0;

  return {
    name: 'usage-audit',
    intervalMs,
    async run(signal) {
      const bounds = lastAuditPeriod(period, clock.wallMs());
      if (bounds.endMs === doneUntil) return;
      const scope = ownScope(parts, signal);
      const conductor = nova.conductor(scope);
      const run: TaskRun = { task, host, begin: novaDate(bounds.beginMs), end: novaDate(bounds.endMs) };
      const state = await taskState(conductor, run);
      if (state !== 'DONE') {
        const servers = await listActiveInWindow(conductor, run);
        if (state === undefined) await beginTask(conductor, run, servers.length, 'Instance usage audit started...');
        const { context } = scope;
        const about = { context, signal };
        const beganMs = clock.monotonicMs();
        let errors = 0;
        for (const server of servers) {
          try {
            if (notifier.sends('legacy')) {
              const said = legacyPayload(server, legacyAuditPeriod(bounds));
              await notifier.send('legacy', 'compute.instance.exists', said, about);
            }
            if (notifier.sends('versioned')) {
              const said = versionedPayload('InstanceExistsPayload', server, context, auditPeriodPayload(bounds));
              await notifier.send('versioned', 'instance.exists', said, about);
            }
          } catch (error) {
            signal.throwIfAborted(); // the rest is told of at the next start
            errors += 1;
            log.error('the usage of a server was not told', { instance: server['nova_object.data'].uuid, error });
          }
        }
        const seconds = (clock.monotonicMs() - beganMs) / 1000;
        const message = `Instance usage audit ran for host ${host}, ${servers.length} instances in ${seconds} seconds.`;
        await endTask(conductor, run, errors, message);
      }
      doneUntil = bounds.endMs;
    },
  };
}
