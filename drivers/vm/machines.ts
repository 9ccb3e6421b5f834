import { DpuError } from '../../core/errors.ts';
import type { Machines } from '../../core/ports/compute-driver.ts';
import { definitionOf, deviceOf } from './definition.ts';
import type { VmParts } from './parts.ts';

/** The machines of the node, for those who look at them and mend what drifted. */
export function machinesOf(parts: VmParts): Machines {
  const { agent, snic, node, deadlines } = parts;
  return {
    list: async (signal) => (await agent.listDomains(signal)).filter((each) => each.node === node),
    async define({ instance, boot, name, flavor }, signal) {
      const spec = await definitionOf(parts, { instance, boot, make: { name, flavor } }, signal);
      await agent.defineDomain(spec, signal);
    },
    async pass(instance, functionId, signal) {
      const state = (await snic.listFunctions(signal)).find((each) => each.id === functionId);
      if (!state) throw new DpuError('not_found', `card has no function ${functionId}`);
      await agent.attachDevice(instance, deviceOf(state, null), signal);
    },
    take: (instance, functionId, signal) =>
      agent.detachDevice(instance, functionId, { deadlineMs: deadlines.hostReleaseMs }, signal),
    async remove(instance, signal) {
      await agent.destroyDomain(instance, signal);
      await agent.undefineDomain(instance, signal);
    },
    diagnostics: (instance, signal) => agent.diagnostics(instance, signal),
    openConsole: (instance, signal) => agent.openConsole(instance, signal),
    vncAddress: (instance, signal) => agent.vncAddress(instance, signal),
  };
}
