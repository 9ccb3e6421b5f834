import { getInstance } from '../wire/instances.ts';
import type { Arguments } from './arguments.ts';
import { checkUuid, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import type { Flow, FlowDefinition } from './flow.ts';
import { ifThere } from './nova-record.ts';
import { refreshInfoCache } from './ports.ts';

/** The project of a server that a request names by its uuid alone; `project` is null where nova has it no more. */
export async function serverProject(flow: Flow, signal: AbortSignal): Promise<{ readonly project: string | null }> {
  let project: string | null = null;
  await ifThere(
    getInstance(flow.adminConductor(signal), flow.instance).then((found) => {
      project = found.project_id;
    }),
  );
  return { project };
}

/**
 * Neutron's `network-changed`: the info cache is made what Neutron has, after whatever runs for the server. It is no request of a user, so there is no
 * action and no fault, and one that fails is made good by the periodic healing.
 */
export const networkChanged: FlowDefinition = {
  planVersion: 1,
  event: null,
  read(args: Arguments) {
    const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
    return { instance, request: { key: textArgument(args, 'key') ?? '' } };
  },
  prepare: (flow, signal) => serverProject(flow, signal),
  plan: (flow) =>
    bracketed(
      flow,
      [
        {
          name: 'refresh',
          deadlineMs: 300_000,
          async run({ signal }) {
            const { project } = flow.facts;
            if (typeof project === 'string') await refreshInfoCache(flow, signal, { projectId: project });
            return undefined;
          },
        },
      ],
      { failure: { fault: false, instead: () => Promise.resolve() } },
    ),
};
