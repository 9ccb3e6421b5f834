import { DpuError, hasCode, toDpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { buildNetworkInfo } from '../rest/network-info.ts';
import type { Neutron, Port } from '../rest/neutron.ts';
import { getInfoCache, saveInfoCache } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import type { RequestedNetwork } from '../wire/requests.ts';
import { deleteVirtualInterfaces, ensureVirtualInterface } from '../wire/virtual-interfaces.ts';
import { forEach } from './each.ts';
import { type Flow, making, type Stage, sentInstance } from './flow.ts';
import { ifThere } from './nova-record.ts';

/** A NIC that a server asks for: a port that is there, or one to be made on a network. */
export type WantedPort =
  | { readonly port: string; readonly network: null; readonly address: null; readonly tag: string | null }
  | { readonly port: null; readonly network: string; readonly address: string | null; readonly tag: string | null };

/** A port that is the server's and bound to this host. */
export interface ServerPort {
  readonly id: string;
  readonly mac: string;
  /** Made for the server, and goes with it. */
  readonly made: boolean;
  readonly tag: string | null;
}

const options = (flow: Flow, signal: AbortSignal) => ({ signal, requestId: flow.context.request_id });

/**
 * What a server's network requests ask for. None at all, or `auto`, is the project's one network; `none` is no NIC.
 * @throws NetworkAmbiguous, InterfaceAttachFailedNoNetwork (of `auto`) as nova's classes.
 */
export async function wantedPorts(
  flow: Flow,
  requested: readonly RequestedNetwork[] | null,
  signal: AbortSignal,
): Promise<readonly WantedPort[]> {
  const list = requested ?? [];
  if (list.some(({ network_id }) => network_id === 'none')) return [];
  const isAuto = list.some(({ network_id }) => network_id === 'auto');
  if (list.length > 0 && !isAuto) return list.map(wantedPort);
  const projectId = sentInstance(flow).project_id ?? '';
  const { neutron } = flow.parts.services;
  const [own, shared] = await Promise.all([
    neutron.listNetworks({ projectId, shared: false }, options(flow, signal)),
    neutron.listNetworks({ shared: true }, options(flow, signal)),
  ]);
  const usable = [...own, ...shared].filter(({ external }) => !external);
  const [network, ...others] = usable;
  if (others.length > 0) throw novaError('NetworkAmbiguous');
  if (network === undefined) {
    if (isAuto) throw novaError('InterfaceAttachFailedNoNetwork', { project_id: projectId });
    return [];
  }
  return [{ port: null, network: network.id, address: null, tag: null }];
}

/** A request that names a port or a network. @throws `invalid` for one that names neither. */
export function wantedPort({ port_id, network_id, address, tag }: RequestedNetwork): WantedPort {
  if (port_id !== null) return { port: port_id, network: null, address: null, tag };
  if (network_id === null) throw new DpuError('invalid', 'a network request names neither a port nor a network');
  return { port: null, network: network_id, address, tag };
}

/**
 * Makes the ports that are not there, binds all of them to this host, and makes nova's records of them. Ports of an earlier try are found by
 * the server's id; of two that are wanted alike, it does not matter which is which. `others` are ports of the server that are not meant.
 * @throws PortBindingFailed, PortInUse, PortNotUsable, as nova's classes; what Neutron refuses.
 */
export async function ensurePorts(
  flow: Flow,
  wanted: readonly WantedPort[],
  securityGroups: readonly string[],
  signal: AbortSignal,
  others: ReadonlySet<string> = new Set(),
): Promise<readonly ServerPort[]> {
  if (wanted.length === 0) return [];
  const admin = flow.parts.services.neutron;
  const given = new Set(wanted.map(({ port }) => port));
  const there = await admin.listPorts({ deviceId: flow.instance }, options(flow, signal));
  // whoever has a port may write any server on it
  const { project_id } = sentInstance(flow);
  const unmatched = there.filter(
    (port) => port.projectId === project_id && !given.has(port.id) && !others.has(port.id),
  );
  const groups = await securityGroupIds(flow, admin, securityGroups, signal);
  const result: ServerPort[] = [];
  for (const want of wanted) {
    const port = await portFor(flow, want, unmatched, groups, signal);
    const bound = await bind(flow, port, signal);
    const { id, macAddress: mac } = bound;
    const record = { instance: flow.instance, port: id, mac, tag: want.tag };
    await ensureVirtualInterface(flow.conductor(signal), record);
    result.push({ id, mac, made: want.port === null, tag: want.tag });
  }
  return result;
}

async function portFor(
  flow: Flow,
  want: WantedPort,
  unmatched: Port[],
  securityGroups: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<Port> {
  const { project_id } = sentInstance(flow);
  if (want.port !== null) {
    const port = await flow.parts.services.neutron
      .showPort(want.port, options(flow, signal))
      .catch((error: unknown) => {
        throw hasCode(error, 'not_found') ? novaError('PortNotFound', { port_id: want.port }, { cause: error }) : error;
      });
    if (port.deviceId !== '' && port.deviceId !== flow.instance) throw novaError('PortInUse', { port_id: port.id });
    if (port.projectId !== project_id && !flow.context.is_admin)
      throw novaError('PortNotUsable', { port_id: port.id, instance: flow.instance });
    return port;
  }
  const place = unmatched.findIndex(
    ({ networkId, fixedIps }) =>
      networkId === want.network &&
      (want.address === null || fixedIps.some(({ ipAddress }) => ipAddress === want.address)),
  );
  const [again] = place < 0 ? [] : unmatched.splice(place, 1);
  if (again !== undefined) return again;
  return await flow.services().neutron.createPort(
    {
      networkId: want.network,
      deviceId: flow.instance,
      adminStateUp: true,
      ...(project_id === null ? {} : { projectId: project_id }),
      ...(want.address === null ? {} : { fixedIps: [{ ipAddress: want.address }] }),
      ...(securityGroups === undefined ? {} : { securityGroups }),
    },
    making(flow),
  );
}

async function bind(flow: Flow, port: Port, signal: AbortSignal): Promise<Port> {
  const admin = flow.parts.services.neutron;
  const { availability_zone, hostname } = sentInstance(flow);
  const extensions = await admin.extensions(options(flow, signal));
  const bound = await admin.updatePort(
    port.id,
    {
      deviceId: flow.instance,
      deviceOwner: `compute:${availability_zone ?? 'nova'}`,
      bindingHost: flow.settings.host,
      ...(hostname !== null && extensions.has('dns-integration') ? { dnsName: hostname } : {}),
    },
    making(flow),
  );
  if (bound.vifType === 'binding_failed') throw novaError('PortBindingFailed', { port_id: port.id });
  return bound;
}

/** Ids of groups that are asked for; undefined: the project's own default. */
async function securityGroupIds(
  flow: Flow,
  admin: Neutron,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  if (names.length === 0 || (names.length === 1 && names[0] === 'default')) return undefined;
  const projectId = sentInstance(flow).project_id ?? '';
  const groups = await admin.listSecurityGroups({ projectId }, options(flow, signal));
  return names.map((name) => {
    const found = groups.find((group) => group.id === name) ?? groups.find((group) => group.name === name);
    if (!found) throw new DpuError('not_found', `security group ${name} is not there`);
    return found.id;
  });
}

/** Takes ports from the server: those to keep are unbound and stay, the others are deleted. Those that are gone are fine. */
export async function dropPorts(flow: Flow, keep: ReadonlySet<string> | 'all', signal: AbortSignal): Promise<void> {
  const admin = flow.parts.services.neutron;
  const ports = await admin.listPorts({ deviceId: flow.instance }, options(flow, signal));
  await forEach(ports, ({ id }) => releasePort(flow, id, keep === 'all' || keep.has(id), signal));
}

/** `dropPorts` for a server that is taken back: `keep` are the user's. What Neutron does not take is the server's still, and goes with it. */
async function takeBackPorts(flow: Flow, keep: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
  try {
    await dropPorts(flow, keep, signal);
  } catch (error) {
    await rememberLeft(flow, keep, signal, error);
    throw error;
  }
}

/**
 * Has nova's info cache say of ports that could not be taken back that they go with the server: its delete takes those that the cache does not know, or that
 * came by themselves, for the user's. `error`: why; a Neutron that was away is asked again anyhow.
 */
export async function rememberLeft(
  flow: Flow,
  given: ReadonlySet<string>,
  signal: AbortSignal,
  error: unknown,
): Promise<void> {
  if (signal.aborted || toDpuError(error, 'a port could not be given back').retry === 'backoff') return;
  const known = new Map(
    cachedPorts(await getInfoCache(flow.conductor(signal), flow.instance)).map((each) => [each.id, each]),
  );
  const there = await flow.parts.services.neutron.listPorts({ deviceId: flow.instance }, options(flow, signal));
  const ports = there.map(({ id }) => known.get(id) ?? { id, preserveOnDelete: given.has(id) });
  await refreshInfoCache(flow, signal, { ports });
}

/** Takes one port from the server: deleted, or, where it was given, unbound. One that is gone is fine. */
export async function releasePort(flow: Flow, id: string, keep: boolean, signal: AbortSignal): Promise<void> {
  if (keep) await unbindPort(flow, id, signal);
  else await flow.parts.services.neutron.deletePort(id, options(flow, signal));
}

/** Makes a port nobody's, as it was before the server had it; one that is gone is fine. */
export async function unbindPort(flow: Flow, id: string, signal: AbortSignal): Promise<void> {
  const admin = flow.parts.services.neutron;
  const extensions = await admin.extensions(options(flow, signal));
  try {
    await admin.updatePort(
      id,
      {
        deviceId: '',
        deviceOwner: '',
        bindingHost: null,
        bindingProfile: {},
        ...(extensions.has('dns-integration') ? { dnsName: '' } : {}),
      },
      options(flow, signal),
    );
  } catch (error) {
    if (!hasCode(error, 'not_found')) throw error;
  }
}

/** Ports of a server's info cache, in order, and whether each outlives the server. */
export function cachedPorts(networkInfo: Json): readonly { readonly id: string; readonly preserveOnDelete: boolean }[] {
  if (!Array.isArray(networkInfo)) return [];
  return (networkInfo as readonly JsonObject[]).flatMap(({ id, preserve_on_delete }) =>
    typeof id === 'string' ? [{ id, preserveOnDelete: preserve_on_delete === true }] : [],
  );
}

/**
 * Takes all ports from a server that goes, with nova's records of them; `networkInfo` is its info cache as text. Null: nobody knows which of the ports are the
 * user's, so all stay.
 */
export async function releasePorts(flow: Flow, networkInfo: string | null, signal: AbortSignal): Promise<void> {
  const known = networkInfo === null ? null : cachedPorts(JSON.parse(networkInfo) as Json);
  const kept = known?.filter(({ preserveOnDelete }) => preserveOnDelete).map(({ id }) => id);
  await dropPorts(flow, kept === undefined ? 'all' : new Set(kept), signal);
  const conductor = flow.conductor(signal);
  await ifThere(deleteVirtualInterfaces(conductor, flow.instance));
  await ifThere(saveInfoCache(conductor, flow.instance, []));
}

/**
 * Makes the info cache what Neutron has: what the API shows as addresses. `ports`: those that the server is to have, in order; those of the cache
 * unless given.
 */
export async function refreshInfoCache(
  flow: Flow,
  signal: AbortSignal,
  {
    ports,
    projectId = sentInstance(flow).project_id ?? '',
  }: {
    readonly ports?: readonly { readonly id: string; readonly preserveOnDelete: boolean }[];
    /** Where the flow's request has no server. */
    readonly projectId?: string;
  } = {},
): Promise<void> {
  const conductor = flow.conductor(signal);
  const listed = ports ?? cachedPorts(await getInfoCache(conductor, flow.instance));
  const networkInfo = await buildNetworkInfo(
    flow.parts.services.neutron,
    { projectId, instance: flow.instance, ports: listed },
    options(flow, signal),
  );
  await ifThere(saveInfoCache(conductor, flow.instance, networkInfo));
}

/** The stage `ports`: the server's ports, made and bound. Its undo takes them away again. Answers ServerPorts. */
export function portsStage(
  flow: Flow,
  requested: readonly RequestedNetwork[] | null,
  securityGroups: readonly string[],
): Stage {
  return {
    name: 'ports',
    async run({ signal }) {
      const wanted = await wantedPorts(flow, requested, signal);
      return (await ensurePorts(flow, wanted, securityGroups, signal)) as unknown as Json;
    },
    async undo({ signal }) {
      const given = (requested ?? []).flatMap(({ port_id }) => (port_id === null ? [] : [port_id]));
      await takeBackPorts(flow, new Set(given), signal);
      await ifThere(deleteVirtualInterfaces(flow.conductor(signal), flow.instance));
    },
    leaves: true,
  };
}

/** What the stage `ports` answered. */
export function portsOf(output: (stage: string) => Json): readonly ServerPort[] {
  return (output('ports') ?? []) as unknown as readonly ServerPort[];
}

/** The stage `info-cache`: addresses as the API shows them. Its undo empties it. */
export function infoCacheStage(flow: Flow): Stage {
  return {
    name: 'info-cache',
    async run({ signal, output }) {
      const ports = portsOf(output).map(({ id, made }) => ({ id, preserveOnDelete: !made }));
      await refreshInfoCache(flow, signal, { ports });
      return undefined;
    },
    async undo({ signal }) {
      await ifThere(saveInfoCache(flow.conductor(signal), flow.instance, []));
    },
    leaves: true,
  };
}

/** How often a port's state is looked at while its event is waited for. */
const lookEveryMs = 5_000;

/**
 * The stage `plugged`: waits until Neutron says that every port is there on the switch (network-vif-plugged, or the port ACTIVE).
 * @throws VirtualInterfacePlugException after the configured time, where that is fatal.
 */
export function pluggedStage(flow: Flow): Stage {
  return {
    name: 'plugged',
    async run({ signal, output }) {
      for (const { id } of portsOf(output)) await awaitPlugged(flow, id, signal);
      return undefined;
    },
  };
}

/** Waits for one port. @throws VirtualInterfacePlugException. */
export async function awaitPlugged(flow: Flow, port: string, signal: AbortSignal): Promise<void> {
  const { clock, events, services, log } = flow.parts;
  const { vifPluggingTimeoutMs, vifPluggingIsFatal } = flow.settings;
  if (vifPluggingTimeoutMs === 0) return;
  const endsAt = clock.monotonicMs() + vifPluggingTimeoutMs;
  for (;;) {
    const { status } = await services.neutron.showPort(port, options(flow, signal));
    if (status === 'ACTIVE') return;
    const left = endsAt - clock.monotonicMs();
    if (left <= 0) break;
    const wanted = { instance: flow.instance, name: 'network-vif-plugged', tag: port };
    const event = await events.next(wanted, Math.min(left, lookEveryMs), signal);
    if (event === null) continue;
    events.forget(wanted);
    if (event.status === 'completed') return;
    break;
  }
  log.warn('neutron does not say that the port is plugged', { flow: flow.id, port, fatal: vifPluggingIsFatal });
  if (vifPluggingIsFatal) throw novaError('VirtualInterfacePlugException');
}
