import { DpuError } from '../../../core/errors.ts';
import type { Conductor } from '../wire/conductor.ts';
import { getMigration, saveMigration } from '../wire/migrations.ts';
import { type Arguments, checkUuid, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { destroyHere } from './compute.ts';
import type { Flow, FlowDefinition, Stage } from './flow.ts';
import { currentInstance, ifThere } from './nova-record.ts';
import { freeHere } from './rebuild.ts';

function read(args: Arguments): ReturnType<FlowDefinition['read']> {
  const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
  const { migration } = args;
  if (typeof migration !== 'number') throw new DpuError('invalid', 'a migration has a number', { field: 'migration' });
  return { instance, request: { migration, key: String(migration) } };
}

/** Whether a server that was evacuated is on this host again: it came back another way before this node was told. `conductor` reads what is deleted, too. */
export async function isBack(
  conductor: Conductor,
  host: string,
  { instance, migration }: { readonly instance: string; readonly migration: number },
): Promise<boolean> {
  const now = await currentInstance(conductor, instance);
  if (now?.host !== host) return false;
  return (await getMigration(conductor, migration)).status === 'done';
}

/** A stage that is left out where the server is here again. */
function unlessBack(name: string, work: (flow: Flow, signal: AbortSignal) => Promise<void>, flow: Flow): Stage {
  return {
    name,
    async run({ signal }) {
      const evacuation = { instance: flow.instance, migration: Number(flow.request.migration) };
      const back = await isBack(flow.adminConductor(signal, 'yes'), flow.settings.host, evacuation);
      if (!back) await work(flow, signal);
      return undefined;
    },
  };
}

/**
 * What this node still has of a server that was evacuated while the node was away, or is being evacuated now: nova said that the node is down, so the
 * server is another host's. Its volumes and ports are left alone. It is found at the node's start, before requests are taken.
 */
export const evacuated: FlowDefinition = {
  planVersion: 1,
  event: null,
  read,
  plan: (flow) =>
    bracketed(
      flow,
      [
        unlessBack('destroy', destroyHere, flow),
        unlessBack(
          'allocation',
          async (_, signal) => {
            const now = await currentInstance(flow.adminConductor(signal), flow.instance);
            if (now !== undefined) await freeHere(flow, signal);
          },
          flow,
        ),
        {
          name: 'completed',
          async run({ signal }) {
            const conductor = flow.adminConductor(signal, 'yes');
            await ifThere(saveMigration(conductor, Number(flow.request.migration), { status: 'completed' }));
            flow.parts.resourcesChanged();
            return undefined;
          },
        },
      ],
      { failure: { fault: false, instead: () => Promise.resolve() }, pivot: 'destroy' },
    ),
};
