import { isIPv6 } from 'node:net';
import { DpuError, hasCode } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import { defined } from './fields.ts';
import type { CallOptions } from './http.ts';
import type { FloatingIp, Network, Neutron, Port, Subnet } from './neutron.ts';

/** A VIF as nova's network_info lists it (nova.network.model.VIF, Zed); a JSON object, ready for InstanceInfoCache.network_info. */
export type Vif = JsonObject;

/** What network_info is made of. */
export interface NetworkInfoRequest {
  readonly projectId: string;
  readonly instance: string;
  /**
   * The VIFs' order, and whether each port was there before the instance and outlives it. A port that is not the instance's any more is left out; ports of
   * the instance that are not listed come last, as outliving it.
   */
  readonly ports: readonly { readonly id: string; readonly preserveOnDelete: boolean }[];
  /** The integration bridge; nova's `[neutron]ovs_bridge`. Default br-int. */
  readonly bridge?: string;
}

/** A port with all that Neutron says around it. */
export interface VifParts {
  readonly port: Port;
  /** null: may not be seen; the port's project stands for its. */
  readonly network: Network | null;
  /** Those of the port's addresses. */
  readonly subnets: readonly Subnet[];
  /** Those of the port. */
  readonly floatingIps: readonly FloatingIp[];
  /** Neutron's own DHCP ports of the network. */
  readonly dhcpPorts: readonly Port[];
  readonly preserveOnDelete: boolean;
  readonly bridge: string;
}

/** Longest name of a Linux network device (nova's NIC_NAME_LEN). */
const deviceNameLength = 14;

/** Networks whose packets go in tunnels (nova's L3_NETWORK_TYPES). */
const tunnels: ReadonlySet<string> = new Set(['vxlan', 'gre', 'geneve']);

/**
 * Asks Neutron (as an admin: bindings and provider fields are needed) for an instance's ports and what lies around them, and makes its network_info as
 * nova's `_build_network_info_model` does. Asks once for each network, however many ports are on it.
 * @throws what Neutron's client throws.
 */
export async function buildNetworkInfo(
  neutron: Neutron,
  request: NetworkInfoRequest,
  options?: CallOptions,
): Promise<readonly Vif[]> {
  const { instance, projectId, bridge = 'br-int' } = request;
  const ports = await neutron.listPorts({ deviceId: instance, projectId }, options);
  const listed = request.ports.flatMap(({ id, preserveOnDelete }) => {
    const port = ports.find((each) => each.id === id);
    return port ? [{ port, preserveOnDelete }] : [];
  });
  const unlisted = ports
    .filter(({ id }) => request.ports.every((each) => each.id !== id))
    .map((port) => ({ port, preserveOnDelete: true }));
  const wanted = [...listed, ...unlisted];
  if (wanted.length === 0) return [];
  const networkIds = [...new Set(ports.map(({ networkId }) => networkId))];
  const around = new Map(
    await Promise.all(networkIds.map(async (id) => [id, await aroundNetwork(neutron, id, ports, options)] as const)),
  );
  return await Promise.all(
    wanted.map(async ({ port, preserveOnDelete }) => {
      const { network, subnets, dhcpPorts } = around.get(port.networkId) ?? {
        network: null,
        subnets: [],
        dhcpPorts: [],
      };
      const floatingIps = port.fixedIps.length === 0 ? [] : await neutron.listFloatingIps({ portId: port.id }, options);
      const own = subnets.filter(({ id }) => port.fixedIps.some(({ subnetId }) => subnetId === id));
      return vifOf({ port, network, subnets: own, floatingIps, dhcpPorts, preserveOnDelete, bridge });
    }),
  );
}

async function aroundNetwork(neutron: Neutron, id: string, ports: readonly Port[], options?: CallOptions) {
  const used = ports.filter(({ networkId }) => networkId === id);
  const subnetIds = [...new Set(used.flatMap(({ fixedIps }) => fixedIps.map(({ subnetId }) => subnetId)))];
  const [network, subnets, dhcpPorts] = await Promise.all([
    networkOrNull(neutron, id, options),
    neutron.listSubnets({ ids: subnetIds }, options),
    subnetIds.length === 0 ? [] : neutron.listPorts({ networkId: id, deviceOwner: 'network:dhcp' }, options),
  ]);
  return { network, subnets, dhcpPorts };
}

async function networkOrNull(neutron: Neutron, id: string, options?: CallOptions): Promise<Network | null> {
  try {
    return await neutron.showNetwork(id, options);
  } catch (error) {
    if (hasCode(error, 'not_found')) return null;
    throw error;
  }
}

/** One VIF, as nova's `_build_vif_model` makes it. @throws DpuError `unsupported` for a network whose segments have no physical network. */
export function vifOf(parts: VifParts): Vif {
  const { port, network, preserveOnDelete } = parts;
  const { bridge, ovs, create } = bridgeOf(port, parts.bridge);
  return {
    id: port.id,
    address: port.macAddress,
    network: {
      id: port.networkId,
      bridge,
      label: network?.name ?? null,
      subnets: parts.subnets.map((subnet) => subnetOf(subnet, parts)),
      meta: {
        injected: false,
        tenant_id: network?.projectId ?? port.projectId,
        mtu: network?.mtu ?? null,
        ...physicalOf(network),
        ...(create ? { should_create_bridge: true } : {}),
      },
    },
    type: port.vifType,
    details: port.vifDetails,
    devname: `tap${port.id}`.slice(0, deviceNameLength),
    ovs_interfaceid: ovs ? port.id : null,
    qbh_params: null,
    qbg_params: null,
    // a port that is down by will counts as plugged: nobody waits for it
    active: !port.adminStateUp || port.status === 'ACTIVE',
    vnic_type: port.vnicType,
    profile: port.bindingProfile,
    preserve_on_delete: preserveOnDelete,
    delegate_create: true,
    meta: {},
  };
}

function bridgeOf(
  port: Port,
  integration: string,
): { readonly bridge: string | null; readonly ovs: boolean; readonly create: boolean } {
  const { vifType, vifDetails, networkId } = port;
  const named = (otherwise: string): string => {
    const name = vifDetails.bridge_name;
    return (typeof name === 'string' ? name : otherwise).slice(0, deviceNameLength);
  };
  const vhost = vifType === 'vhostuser';
  if (vifType === 'ovs' || vifType === 'agilio_ovs' || (vhost && vifDetails.vhostuser_ovs_plug === true)) {
    return { bridge: named(integration), ovs: true, create: false };
  }
  if (vifType === 'bridge') return { bridge: named(`brq${networkId}`), ovs: false, create: true };
  if (vhost && vifDetails.vhostuser_fp_plug === true) {
    return { bridge: named(`brq${networkId}`), ovs: false, create: false };
  }
  return { bridge: vifType === 'dvs' ? networkId : null, ovs: false, create: false };
}

function physicalOf(network: Network | null): { readonly physical_network: string | null; readonly tunneled: boolean } {
  const { segments = [], physicalNetwork = null, networkType = null } = network ?? {};
  if (segments.length > 0) {
    const physical = segments.find((each) => each.physicalNetwork !== null && each.physicalNetwork !== '');
    if (physical) return { physical_network: physical.physicalNetwork, tunneled: false };
    throw new DpuError('unsupported', `no segment of network ${network?.id} has a physical network`);
  }
  return { physical_network: physicalNetwork, tunneled: networkType !== null && tunnels.has(networkType) };
}

function subnetOf(subnet: Subnet, { port, floatingIps, dhcpPorts }: VifParts): JsonObject {
  const dhcp =
    dhcpPorts.flatMap(({ fixedIps }) => fixedIps).findLast(({ subnetId }) => subnetId === subnet.id)?.ipAddress ??
    (subnet.enableDhcp ? subnet.gatewayIp : undefined);
  return {
    cidr: subnet.cidr,
    dns: distinct(subnet.dnsNameservers).map((address) => ip(address, 'dns')),
    gateway: ip(subnet.gatewayIp, 'gateway'),
    ips: port.fixedIps
      .filter(({ subnetId }) => subnetId === subnet.id)
      .map(({ ipAddress }) => ({
        ...ip(ipAddress, 'fixed'),
        floating_ips: floatingIps
          .filter(({ fixedIpAddress }) => fixedIpAddress === ipAddress)
          .map(({ floatingIpAddress }) => ip(floatingIpAddress, 'floating')),
      })),
    routes: subnet.hostRoutes.map(({ destination, nexthop }) => ({
      cidr: destination,
      gateway: ip(nexthop, 'gateway'),
      interface: null,
      meta: {},
    })),
    version: subnet.ipVersion,
    meta: defined({ ipv6_address_mode: subnet.ipv6AddressMode ?? undefined, dhcp_server: dhcp }),
  };
}

function ip(address: string | null, type: string): JsonObject {
  return { address, type, version: address === null ? null : isIPv6(address) ? 6 : 4, meta: {} };
}

function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
