import { checkUuid, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { destroyHere } from './compute.ts';
import type { FlowDefinition } from './flow.ts';
import { currentInstance } from './nova-record.ts';

/**
 * What this node still has of a server that nova deleted without it: nova-api deletes by itself what is on a host that is down, with its volumes, ports and
 * allocations (nova's own compute service reaps it, too: running_deleted_instance_action).
 */
export const reaped: FlowDefinition = {
  planVersion: 1,
  event: null,
  read: (args) => ({ instance: checkUuid(textArgument(args, 'instance') ?? '', 'instance'), request: {} }),
  plan: (flow) =>
    bracketed(
      flow,
      [
        {
          name: 'destroy',
          async run({ signal }) {
            if ((await currentInstance(flow.adminConductor(signal, 'yes'), flow.instance)) !== undefined)
              return undefined;
            await destroyHere(flow, signal);
            flow.parts.resourcesChanged();
            return undefined;
          },
        },
      ],
      { failure: { fault: false, instead: () => Promise.resolve() }, pivot: 'destroy' },
    ),
};
