import { DpuError } from '../../core/errors.ts';
import type { NetworkPort, NetworkService, PortSpec } from '../../core/ports/network-service.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import { choices, quote } from './wording.ts';

/** A subnet of the catalogue. */
export interface CatalogueSubnet {
  /** IPv4 in CIDR form. */
  readonly cidr: string;
  readonly gateway?: string;
  readonly pool?: { readonly first: string; readonly last: string };
  /** First three bytes of the MACs that we make. */
  readonly mac_prefix: string;
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly except: readonly number[];
}

/** An IPv4 address as a number. @throws DpuError `invalid` that names the field. */
function parseIpv4(text: string, field: string): number {
  const parts = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : Number.NaN));
  if (parts.length !== 4 || parts.some((part) => !(part <= 255))) {
    throw new DpuError('invalid', `${field} is not an IPv4 address`, { field });
  }
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

/** The addresses that a subnet gives out: all of its hosts but the gateway, or its pool. @throws DpuError `invalid`. */
export function addressRange(name: string, subnet: CatalogueSubnet): Range {
  const field = `catalogue.subnets.${name}`;
  const [address = '', length = ''] = subnet.cidr.split('/');
  const bits = Number(length);
  if (!/^\d{1,2}$/.test(length) || bits < 8 || bits > 30) {
    throw new DpuError('invalid', `${field}.cidr must have a prefix of 8 to 30 bits`, { field: `${field}.cidr` });
  }
  const size = 2 ** (32 - bits);
  const base = parseIpv4(address, `${field}.cidr`);
  if (base % size !== 0) {
    throw new DpuError('invalid', `${field}.cidr has host bits set`, { field: `${field}.cidr` });
  }
  const gateway = subnet.gateway === undefined ? base + 1 : parseIpv4(subnet.gateway, `${field}.gateway`);
  const first = subnet.pool ? parseIpv4(subnet.pool.first, `${field}.pool.first`) : base + 1;
  const last = subnet.pool ? parseIpv4(subnet.pool.last, `${field}.pool.last`) : base + size - 2;
  if (first <= base || last >= base + size - 1 || first > last) {
    throw new DpuError('invalid', `${field}.pool is not inside of ${subnet.cidr}`, { field: `${field}.pool` });
  }
  return { first, last, except: [gateway] };
}

/** The embedded network service: subnets from the configuration, addresses and MACs allocated in the store. */
export function createSubnetService(
  store: Pick<NodeStore, 'allocatePort' | 'releasePort' | 'putPort' | 'ports'>,
  subnets: Readonly<Record<string, CatalogueSubnet>>,
): NetworkService {
  const ranges = new Map(Object.entries(subnets).map(([name, subnet]) => [name, addressRange(name, subnet)]));

  function find(id: string): NetworkPort | undefined {
    return store.ports().find((port) => port.portId === id);
  }

  function checkPort(spec: PortSpec): void {
    if (spec.subnet !== null && !ranges.has(spec.subnet)) {
      const what = `subnet ${quote(spec.subnet)} is not in the catalogue (${choices([...ranges.keys()])})`;
      throw new DpuError('not_found', what, { field: 'subnet' });
    }
    const own = find(spec.portId);
    if (spec.subnet === null && !own) throw new DpuError('not_found', 'port does not exist', { field: 'port_id' });
    if (own && own.instance !== null && own.instance !== spec.instance) {
      throw new DpuError('conflict', 'port belongs to another instance', { field: 'port_id' });
    }
    if (spec.mac === null) return;
    const holder = store.ports().find((port) => port.mac === spec.mac);
    if (holder && holder.portId !== spec.portId) {
      throw new DpuError('conflict', 'MAC is in use by another port', { field: 'mac' });
    }
  }

  return {
    check: async (spec) => checkPort(spec),
    async ensurePort(spec) {
      checkPort(spec);
      const range = ranges.get(spec.subnet ?? '');
      const subnet = subnets[spec.subnet ?? ''];
      if (spec.subnet === null || !range || !subnet) {
        const own = find(spec.portId);
        if (!own) throw new DpuError('not_found', 'port does not exist', { field: 'port_id' });
        return own;
      }
      return store.allocatePort({
        portId: spec.portId,
        subnet: spec.subnet,
        instance: spec.instance,
        mac: spec.mac,
        macPrefix: subnet.mac_prefix,
        ...range,
      });
    },
    async releasePort(portId) {
      await store.releasePort(portId);
    },
    readoptPort: (port) => store.putPort(port),
    listPorts: async () => store.ports(),
  };
}
