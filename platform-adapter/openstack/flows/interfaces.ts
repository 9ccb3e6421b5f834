import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { getInfoCache, saveInfoCache } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import { destroyVirtualInterface } from '../wire/virtual-interfaces.ts';
import { type Arguments, checkUuid, readServer, textArgument } from './arguments.ts';
import { bracketed, type FailurePolicy, writeFault } from './bracket.ts';
import { compute } from './compute.ts';
import { forEach } from './each.ts';
import type { Flow, FlowDefinition, Stage } from './flow.ts';
import { serverProject } from './network-changed.ts';
import { ifThere } from './nova-record.ts';
import { cachedPorts, ensurePorts, portsOf, refreshInfoCache, releasePort, rememberLeft } from './ports.ts';

/** A fault and nothing else: these methods have no task state, and one that another method has set is that one's. */
export const faultOnly: FailurePolicy = {
  fault: true,
  instead: (flow, error, signal) => writeFault(flow, error, signal),
};

/** Ports that the server had before: a NIC on the same network must not be taken for an earlier try. */
function beforeStage(flow: Flow): Stage {
  return {
    name: 'before',
    async run({ signal }) {
      return (await portsInCache(flow, signal)) as unknown as Json;
    },
  };
}

type KnownPort = ReturnType<typeof cachedPorts>[number];

async function portsInCache(flow: Flow, signal: AbortSignal): Promise<readonly KnownPort[]> {
  return cachedPorts(await getInfoCache(flow.conductor(signal), flow.instance));
}

function portsBefore(output: (stage: string) => Json): readonly KnownPort[] {
  return output('before') as unknown as readonly KnownPort[];
}

/** The binding of a port at the instance here, if there is one. */
function isHere(flow: Flow, port: string): boolean {
  return flow.parts.compute
    .listBindings()
    .some(({ instance, port_id }) => instance === flow.instance && port_id === port);
}

async function detachHere(flow: Flow, key: string, port: string, signal: AbortSignal): Promise<void> {
  if (!isHere(flow, port)) return;
  await compute(flow, key, 'detach_interface', { uuid: flow.instance, port_id: port }, signal);
}

function attachStages(flow: Flow): readonly Stage[] {
  const { network, port, address, tag } = flow.request as Record<string, string | null>;
  const wanted =
    port === null || port === undefined
      ? { port: null, network: network ?? '', address: address ?? null, tag: tag ?? null }
      : { port, network: null, address: null, tag: tag ?? null };
  return [
    {
      ...beforeStage(flow),
      async run(context) {
        if (typeof tag === 'string') throw novaError('NetworkInterfaceTaggedAttachNotSupported');
        return await beforeStage(flow).run(context);
      },
    },
    {
      name: 'ports',
      async run({ signal, output }) {
        const others = new Set(portsBefore(output).map(({ id }) => id));
        if (wanted.port !== null && others.has(wanted.port)) throw novaError('PortInUse', { port_id: wanted.port });
        return (await ensurePorts(flow, [wanted], [], signal, others)) as unknown as Json;
      },
      async undo({ signal, output }) {
        const others = new Set(portsBefore(output).map(({ id }) => id));
        const ports = await flow.parts.services.neutron.listPorts(
          { deviceId: flow.instance },
          { signal, requestId: flow.context.request_id },
        );
        const added = ports.filter((each) => !others.has(each.id));
        try {
          await forEach(added, async ({ id }) => {
            await releasePort(flow, id, id === wanted.port, signal);
            await destroyVirtualInterface(flow.conductor(signal), id);
          });
        } catch (error) {
          await rememberLeft(flow, new Set(wanted.port === null ? [] : [wanted.port]), signal, error);
          throw error;
        }
      },
      leaves: true,
    },
    {
      name: 'attach',
      async run({ signal, output }) {
        for (const { id, mac } of portsOf(output)) {
          const network = { port_id: id, mac };
          await compute(flow, 'attach', 'attach_interface', { uuid: flow.instance, network }, signal);
        }
        return undefined;
      },
      async undo({ signal, output }) {
        for (const { id } of portsOf(output)) await detachHere(flow, 'detach', id, signal);
      },
    },
    {
      name: 'info-cache',
      async run({ signal, output }) {
        const added = portsOf(output).map(({ id, made }) => ({ id, preserveOnDelete: !made }));
        await refreshInfoCache(flow, signal, { ports: [...portsBefore(output), ...added] });
        const cache = await getInfoCache(flow.conductor(signal), flow.instance);
        const [vif] = vifsOf(cache).filter(({ id }) => added.some((each) => each.id === id));
        return vif ?? null;
      },
      async undo({ signal, output }) {
        await refreshInfoCache(flow, signal, { ports: portsBefore(output) });
      },
      leaves: true,
    },
  ];
}

function vifsOf(networkInfo: Json): readonly JsonObject[] {
  return Array.isArray(networkInfo) ? (networkInfo as readonly JsonObject[]) : [];
}

/** attach_interface: a call; answers the new NIC as nova's network_info has it. */
const attach: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const port = textArgument(args, 'port_id');
    const network = textArgument(args, 'network_id');
    if (port === null && network === null) throw new DpuError('invalid', 'neither a port nor a network is named');
    return readServer(args, {
      network,
      port: port === null ? null : checkUuid(port, 'port_id'),
      address: textArgument(args, 'requested_ip'),
      tag: textArgument(args, 'tag'),
      key: `${port ?? network}`,
    });
  },
  plan: (flow) =>
    bracketed(flow, attachStages(flow), {
      failure: faultOnly,
      ours: true,
      result: (output) => output('info-cache'),
    }),
};

/** The stages that take a NIC away for good; `given`: only where the server's record has it. */
function detachStages(flow: Flow, port: string, strict: boolean): readonly Stage[] {
  return [
    {
      name: 'before',
      async run({ signal }) {
        let ports: readonly KnownPort[] = [];
        const there = await ifThere(
          portsInCache(flow, signal).then((found) => {
            ports = found;
          }),
        );
        const known = ports.some(({ id }) => id === port);
        if (strict && !(there && known)) throw novaError('PortNotFound', { port_id: port });
        return ports as unknown as Json;
      },
    },
    {
      name: 'detach',
      async run({ signal }) {
        await detachHere(flow, 'detach', port, signal);
        return undefined;
      },
    },
    {
      name: 'release',
      async run({ signal, output }) {
        const preserve = portsBefore(output).find(({ id }) => id === port)?.preserveOnDelete ?? false;
        await releasePort(flow, port, preserve, signal);
        await destroyVirtualInterface(flow.conductor(signal), port);
        return undefined;
      },
    },
    {
      name: 'info-cache',
      async run({ signal, output }) {
        const ports = portsBefore(output).filter(({ id }) => id !== port);
        const { project } = flow.facts;
        const of = typeof project === 'string' ? { projectId: project } : {};
        if (ports.length === 0) await ifThere(saveInfoCache(flow.conductor(signal), flow.instance, []));
        else await refreshInfoCache(flow, signal, { ports, ...of });
        return undefined;
      },
    },
  ];
}

/** detach_interface: forward only once the NIC is gone from the instance. */
const detach: FlowDefinition = {
  planVersion: 1,
  read(args) {
    const port = checkUuid(textArgument(args, 'port_id') ?? '', 'port_id');
    return readServer(args, { port, key: port });
  },
  plan: (flow) =>
    bracketed(flow, detachStages(flow, String(flow.request.port), true), {
      failure: faultOnly,
      pivot: 'release',
      ours: true,
    }),
};

/** Neutron's `network-vif-deleted`: the port is gone, and the NIC goes with it. No request of a user: no action, no fault. */
const vifDeleted: FlowDefinition = {
  planVersion: 1,
  event: null,
  read(args: Arguments) {
    const instance = checkUuid(textArgument(args, 'instance') ?? '', 'instance');
    const port = checkUuid(textArgument(args, 'key') ?? '', 'tag');
    return { instance, request: { port, key: port } };
  },
  prepare: (flow, signal) => serverProject(flow, signal),
  plan(flow) {
    const failure: FailurePolicy = { fault: false, instead: () => Promise.resolve() };
    // a server that goes takes its ports with it, and Neutron tells of each
    if (flow.facts.project === null) return bracketed(flow, [], { failure });
    return bracketed(flow, detachStages(flow, String(flow.request.port), false), { failure, pivot: 'release' });
  },
};

/** Methods of a server's NICs. */
export const interfaceFlows: Readonly<Record<string, FlowDefinition>> = {
  attach_interface: attach,
  detach_interface: detach,
  vif_deleted: vifDeleted,
};
