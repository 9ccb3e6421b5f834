import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { ensureAction } from '../wire/instance-actions.ts';
import { getMigration, getMigrationPrimitive, type NovaMigration, saveMigration } from '../wire/migrations.ts';
import { isNova } from '../wire/nova-errors.ts';
import { isServiceUp } from '../wire/service-records.ts';
import { type Arguments, checkUuid, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import type { Flow, FlowDefinition, Stage } from './flow.ts';
import { serverToSend } from './migration.ts';
import { currentInstance, ifThere } from './nova-record.ts';

function read(args: Arguments): ReturnType<FlowDefinition['read']> {
  const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
  const { migration } = args;
  if (typeof migration !== 'number') throw new DpuError('invalid', 'a migration has a number', { field: 'migration' });
  return { instance, request: { migration, key: String(migration) } };
}

const numberOf = (flow: Flow): number => Number(flow.request.migration);

/** What becomes of a move that nobody confirmed in time. */
type Verdict = 'confirm' | 'leave' | { readonly broken: string };

/** As nova's _poll_unconfirmed_resizes; but a task is somebody's, who may have been faster, and no reason to call the move broken. */
async function verdict(flow: Flow, { status, source_compute: source }: NovaMigration, signal: AbortSignal) {
  const conductor = flow.adminConductor(signal);
  if (status !== 'finished' || source === null) return 'leave' satisfies Verdict;
  const now = await currentInstance(conductor, flow.instance);
  const judged = ((): Verdict => {
    if (now === undefined) return { broken: 'the server is gone' };
    if (now.vm_state === 'error') return { broken: 'the server is in error' };
    if (now.task_state !== null) return 'leave';
    return now.vm_state === 'resized' ? 'confirm' : { broken: `the server is ${now.vm_state}` };
  })();
  if (judged !== 'confirm' || (await isServiceUp(conductor, source, flow.settings.host))) return judged;
  return 'leave' satisfies Verdict; // its source could not take the request; there is a next time
}

async function migrationNow(flow: Flow, signal: AbortSignal): Promise<NovaMigration | undefined> {
  try {
    return await getMigration(flow.adminConductor(signal, 'yes'), numberOf(flow));
  } catch (error) {
    if (isNova(error, 'MigrationNotFound')) return undefined;
    throw error;
  }
}

const isConfirmed = (output: (stage: string) => Json): boolean =>
  (output('confirming') as JsonObject).confirmed === true;

function stages(flow: Flow): readonly Stage[] {
  return [
    {
      name: 'look',
      async run({ signal }) {
        const migration = await migrationNow(flow, signal);
        const found = migration === undefined ? 'leave' : await verdict(flow, migration, signal);
        if (typeof found === 'object') {
          const { broken: reason } = found;
          flow.parts.log.warn('a move that nobody confirmed is in error', { instance: flow.instance, reason });
          await ifThere(saveMigration(flow.adminConductor(signal), numberOf(flow), { status: 'error' }));
        }
        return { confirm: found === 'confirm' };
      },
    },
    {
      name: 'confirming',
      async run({ signal, output }) {
        if ((output('look') as JsonObject).confirm !== true) return { confirmed: false };
        const migration = await migrationNow(flow, signal);
        // our own word of a try before a crash, or a user's of just now; asked twice, the source has nothing left to do
        const isOurs = migration?.status === 'confirming';
        if (migration === undefined || !(isOurs || (await verdict(flow, migration, signal)) === 'confirm'))
          return { confirmed: false };
        await saveMigration(flow.adminConductor(signal), numberOf(flow), { status: 'confirming' });
        flow.parts.log.info('a move that nobody confirmed is confirmed', { instance: flow.instance });
        return { confirmed: true, source: migration.source_compute };
      },
    },
    {
      name: 'action',
      async run({ signal, output }) {
        const { request_id: request } = flow.context;
        if (isConfirmed(output)) await ensureAction(flow.conductor(signal), flow.instance, 'confirmResize', request);
        return undefined;
      },
    },
    {
      name: 'cast',
      async run({ signal, output }) {
        const instance = isConfirmed(output) ? await serverToSend(flow, signal) : undefined;
        const { source } = output('confirming') as JsonObject;
        if (instance === undefined || typeof source !== 'string') return undefined;
        const migration = await getMigrationPrimitive(flow.adminConductor(signal), numberOf(flow));
        const args = { instance: instance as unknown as Json, migration: migration as unknown as Json };
        await flow.parts.nova.computeCast(flow.scope(signal), source, 'confirm_resize', args);
        return undefined;
      },
    },
  ];
}

/**
 * A move to this host that nobody confirmed in the time that is set (nova's resize_confirm_window): the source is asked to confirm it, as nova's API would
 * ask. Nova's own compute services do this at the destination, too.
 */
export const confirmWindow: FlowDefinition = {
  planVersion: 1,
  event: null,
  read,
  plan: (flow) =>
    bracketed(flow, stages(flow), {
      failure: { fault: false, instead: () => Promise.resolve() },
      pivot: 'confirming',
    }),
};
