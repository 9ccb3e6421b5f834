import type { Arguments } from './arguments.ts';
import { checkUuid, flagArgument, textArgument } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { type Flow, type FlowDefinition, making } from './flow.ts';
import { currentInstance } from './nova-record.ts';
import { refreshInfoCache } from './ports.ts';

/** The project of a server that a request names by its uuid alone; `project` is null where nova has it no more. */
export async function serverProject(flow: Flow, signal: AbortSignal): Promise<{ readonly project: string | null }> {
  const found = await currentInstance(flow.adminConductor(signal), flow.instance);
  return { project: found?.project_id ?? null };
}

/** Whether the server is on this host now, and nothing is done to it: looked at in each try, since what was true before a restart may not be. */
async function isResting(flow: Flow, signal: AbortSignal): Promise<boolean> {
  const now = await currentInstance(flow.adminConductor(signal), flow.instance);
  return now?.host === flow.settings.host && now.task_state === null && now.vm_state !== 'building';
}

/** Binds ports of a server on this host to it that are not: an evacuation that failed has left them with its other host (nova's healing does so, too). */
async function bindAgain(flow: Flow, projectId: string, signal: AbortSignal): Promise<void> {
  const { neutron } = flow.parts.services;
  const ports = await neutron.listPorts({ deviceId: flow.instance, projectId }, { signal });
  const { host } = flow.settings;
  for (const { id, bindingHost, vifType } of ports) {
    if (bindingHost === host && vifType !== 'unbound' && vifType !== 'binding_failed') continue;
    flow.parts.log.warn('a port of a server here was not bound to this host; it is bound again', {
      port: id,
      bindingHost,
    });
    await neutron.updatePort(id, { bindingHost: host }, making(flow));
  }
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
    return { instance, request: { key: textArgument(args, 'key') ?? '', heal: flagArgument(args, 'heal', false) } };
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
            if (typeof project !== 'string') return undefined;
            if (flow.request.heal === true && (await isResting(flow, signal))) await bindAgain(flow, project, signal);
            await refreshInfoCache(flow, signal, { projectId: project });
            return undefined;
          },
        },
      ],
      { failure: { fault: false, instead: () => Promise.resolve() } },
    ),
};
