import { hasCode } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { defined, objectIn, objectsIn, textOf } from './fields.ts';
import type { CallOptions } from './http.ts';
import type { Caller } from './keystone.ts';
import { readBinding, readFloatingIp, readNetwork, readPort, readSubnet, writePort } from './neutron-records.ts';
import { unless } from './rest-errors.ts';
import type { ServiceRequest } from './service-client.ts';

/** A network; the `provider:` fields are null for who may not see them. */
export interface Network {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly mtu: number | null;
  readonly shared: boolean;
  readonly external: boolean;
  readonly portSecurityEnabled: boolean;
  readonly subnets: readonly string[];
  readonly networkType: string | null;
  readonly physicalNetwork: string | null;
  readonly segmentationId: number | null;
  /** Only of a network of several segments. */
  readonly segments: readonly NetworkSegment[];
}

/** One segment of a network. */
export interface NetworkSegment {
  readonly networkType: string | null;
  readonly physicalNetwork: string | null;
  readonly segmentationId: number | null;
}

/** An address of a port. */
export interface FixedIp {
  readonly subnetId: string;
  readonly ipAddress: string;
}

/** A port. */
export interface Port {
  readonly id: string;
  readonly name: string;
  readonly networkId: string;
  readonly projectId: string;
  readonly macAddress: string;
  readonly adminStateUp: boolean;
  /** ACTIVE, DOWN, BUILD, N/A, ERROR. */
  readonly status: string;
  readonly deviceId: string;
  readonly deviceOwner: string;
  readonly fixedIps: readonly FixedIp[];
  readonly securityGroups: readonly string[];
  readonly dnsName: string | null;
  readonly portSecurityEnabled: boolean;
  /** normal, direct, remote-managed, vdpa, smart-nic, ... */
  readonly vnicType: string;
  /** Empty: not bound to a host. The `binding:` fields are for admins; who may not see them gets the empty ones. */
  readonly bindingHost: string;
  /** ovs, unbound, binding_failed, ...; null: not to be seen. */
  readonly vifType: string | null;
  readonly vifDetails: JsonObject;
  readonly bindingProfile: JsonObject;
  /** Bandwidth that Placement keeps for it; null: none. */
  readonly resourceRequest: JsonObject | null;
}

/** Fields of a port to be set; absent ones stay as they are, null empties. */
export interface PortChange {
  readonly name?: string;
  readonly adminStateUp?: boolean;
  readonly deviceId?: string;
  readonly deviceOwner?: string;
  readonly macAddress?: string;
  readonly fixedIps?: readonly { readonly subnetId?: string; readonly ipAddress?: string }[];
  readonly securityGroups?: readonly string[];
  readonly dnsName?: string;
  readonly vnicType?: string;
  readonly bindingHost?: string | null;
  readonly bindingProfile?: JsonObject;
}

/** A port to be made. */
export interface NewPort extends PortChange {
  readonly networkId: string;
  readonly projectId?: string;
}

/** Which ports; all that is given must match. */
export interface PortFilter {
  readonly id?: string;
  readonly deviceId?: string;
  readonly deviceOwner?: string;
  readonly networkId?: string;
  readonly projectId?: string;
  readonly bindingHost?: string;
}

/** A port's binding to one host (extension binding-extended). */
export interface PortBinding {
  readonly host: string;
  readonly vifType: string;
  readonly vnicType: string;
  /** ACTIVE or INACTIVE. */
  readonly status: string;
  readonly profile: JsonObject;
  readonly vifDetails: JsonObject;
}

/** A subnet. */
export interface Subnet {
  readonly id: string;
  readonly name: string;
  readonly networkId: string;
  readonly ipVersion: 4 | 6;
  readonly cidr: string;
  readonly gatewayIp: string | null;
  readonly enableDhcp: boolean;
  readonly dnsNameservers: readonly string[];
  readonly hostRoutes: readonly { readonly destination: string; readonly nexthop: string }[];
  readonly ipv6RaMode: string | null;
  readonly ipv6AddressMode: string | null;
}

/** A floating address that a port's address has. */
export interface FloatingIp {
  readonly id: string;
  readonly floatingIpAddress: string;
  readonly fixedIpAddress: string | null;
  readonly portId: string | null;
}

/** Neutron, API v2.0. */
export interface Neutron {
  /** By id; those that are not there are left out. Never more than 1000. */
  listNetworks(
    filter: { readonly ids?: readonly string[]; readonly shared?: boolean; readonly projectId?: string },
    options?: CallOptions,
  ): Promise<readonly Network[]>;
  /** @throws `not_found`. */
  showNetwork(id: string, options?: CallOptions): Promise<Network>;
  listSubnets(
    filter: { readonly ids?: readonly string[]; readonly networkId?: string },
    options?: CallOptions,
  ): Promise<readonly Subnet[]>;
  /** Of a project; `id` and `name` alone. */
  listSecurityGroups(
    filter: { readonly projectId: string },
    options?: CallOptions,
  ): Promise<readonly { readonly id: string; readonly name: string }[]>;
  listFloatingIps(
    filter: { readonly portId: string; readonly fixedIpAddress?: string },
    options?: CallOptions,
  ): Promise<readonly FloatingIp[]>;

  listPorts(filter: PortFilter, options?: CallOptions): Promise<readonly Port[]>;
  /** @throws `not_found`. */
  showPort(id: string, options?: CallOptions): Promise<Port>;
  /** @throws `exhausted` (quota, no address left), `conflict` (MAC or address in use), `not_found` (network), `invalid`. */
  createPort(port: NewPort, options?: CallOptions): Promise<Port>;
  /** @throws `not_found`, `conflict`, `denied` (binding fields by who is no admin). */
  updatePort(id: string, change: PortChange, options?: CallOptions): Promise<Port>;
  /** One that is not there is fine. */
  deletePort(id: string, options?: CallOptions): Promise<void>;

  /** @throws `not_found` (port or binding). */
  showBinding(port: string, host: string, options?: CallOptions): Promise<PortBinding>;
  listBindings(port: string, options?: CallOptions): Promise<readonly PortBinding[]>;
  /** An inactive binding to one more host; one that is there is answered as it is. */
  ensureBinding(
    port: string,
    binding: { readonly host: string; readonly vnicType?: string; readonly profile?: JsonObject },
    options?: CallOptions,
  ): Promise<PortBinding>;
  /** Makes a host's binding the active one, and the one before inactive; one that is active is fine. */
  activateBinding(port: string, host: string, options?: CallOptions): Promise<void>;
  /** One that is not there is fine. */
  deleteBinding(port: string, host: string, options?: CallOptions): Promise<void>;

  /** Aliases of the extensions that are loaded; asked for once in 10 minutes. */
  extensions(options?: CallOptions): Promise<ReadonlySet<string>>;
}

/** More of anything than an instance can have; Neutron's own limit is the operator's. */
const most = '1000';

/** How long the list of extensions is kept; milliseconds (nova keeps it as long). */
const extensionsKeptMs = 600_000;

/** Neutron as the caller sees it. */
export function createNeutron(caller: Caller, clock: Clock): Neutron {
  const client = caller.service('network');
  const get = async (doing: string, path: string, query: Query, options?: CallOptions): Promise<Json> =>
    (await client.send({ doing, method: 'GET', path, query }, options)).json;
  const port = (id: string, part = ''): string => `ports/${encodeURIComponent(id)}${part}`;
  let known: { readonly aliases: ReadonlySet<string>; readonly untilMs: number } | undefined;

  const neutron: Neutron = {
    async listNetworks({ ids, shared, projectId }, options) {
      if (ids?.length === 0) return [];
      const query = {
        id: ids,
        shared: shared === undefined ? undefined : String(shared),
        project_id: projectId,
        limit: most,
      };
      return objectsIn(await get('list networks', 'networks', query, options), 'networks').map(readNetwork);
    },
    async showNetwork(id, options) {
      const json = await get(`show network ${id}`, `networks/${encodeURIComponent(id)}`, {}, options);
      return readNetwork(objectIn(json, 'network'));
    },
    async listSubnets({ ids, networkId }, options) {
      if (ids?.length === 0) return [];
      const query = { id: ids, network_id: networkId, limit: most };
      return objectsIn(await get('list subnets', 'subnets', query, options), 'subnets').map(readSubnet);
    },
    async listSecurityGroups({ projectId }, options) {
      const query = { project_id: projectId, fields: ['id', 'name'], limit: most };
      const json = await get('list security groups', 'security-groups', query, options);
      return objectsIn(json, 'security_groups').map((each) => ({ id: textOf(each, 'id'), name: textOf(each, 'name') }));
    },
    async listFloatingIps({ portId, fixedIpAddress }, options) {
      const query = { port_id: portId, fixed_ip_address: fixedIpAddress };
      try {
        const json = await get(`list floating addresses of port ${portId}`, 'floatingips', query, options);
        return objectsIn(json, 'floatingips').map(readFloatingIp);
      } catch (error) {
        // a cloud without routers has no such resource
        if (hasCode(error, 'not_found')) return [];
        throw error;
      }
    },

    async listPorts(filter, options) {
      const query = {
        id: filter.id,
        device_id: filter.deviceId,
        device_owner: filter.deviceOwner,
        network_id: filter.networkId,
        project_id: filter.projectId,
        'binding:host_id': filter.bindingHost,
        limit: most,
      };
      return objectsIn(await get('list ports', 'ports', query, options), 'ports').map(readPort);
    },
    async showPort(id, options) {
      return readPort(objectIn(await get(`show port ${id}`, port(id), {}, options), 'port'));
    },
    async createPort({ networkId, projectId, ...change }, options) {
      const json = { port: { ...writePort(change), ...defined({ network_id: networkId, project_id: projectId }) } };
      const doing = `create a port on network ${networkId}`;
      return readPort(
        objectIn((await client.send({ doing, method: 'POST', path: 'ports', json }, options)).json, 'port'),
      );
    },
    async updatePort(id, change, options) {
      const json = { port: writePort(change) };
      const doing = `update port ${id}`;
      return readPort(
        objectIn((await client.send({ doing, method: 'PUT', path: port(id), json }, options)).json, 'port'),
      );
    },
    async deletePort(id, options) {
      await unless('not_found', client.send({ doing: `delete port ${id}`, method: 'DELETE', path: port(id) }, options));
    },

    async showBinding(id, host, options) {
      const path = port(id, `/bindings/${encodeURIComponent(host)}`);
      return readBinding(objectIn(await get(`show binding of port ${id} to ${host}`, path, {}, options), 'binding'));
    },
    async listBindings(id, options) {
      return objectsIn(await get(`list bindings of port ${id}`, port(id, '/bindings'), {}, options), 'bindings').map(
        readBinding,
      );
    },
    async ensureBinding(id, { host, vnicType, profile }, options) {
      const json = { binding: defined({ host, vnic_type: vnicType, profile }) };
      const doing = `bind port ${id} to ${host}`;
      const path = port(id, '/bindings');
      try {
        // an ensure: made twice is a conflict, which is answered by the one that is there
        const { json: made } = await client.send({ doing, method: 'POST', path, json, repeatable: true }, options);
        return readBinding(objectIn(made, 'binding'));
      } catch (error) {
        if (hasCode(error, 'conflict')) return await neutron.showBinding(id, host, options);
        throw error;
      }
    },
    async activateBinding(id, host, options) {
      const path = port(id, `/bindings/${encodeURIComponent(host)}/activate`);
      const doing = `activate the binding of port ${id} to ${host}`;
      // refused with 409 when it is active already; a body, even an empty one, makes Zed's Neutron fail with 500
      await unless('conflict', client.send({ doing, method: 'PUT', path }, options));
    },
    async deleteBinding(id, host, options) {
      const path = port(id, `/bindings/${encodeURIComponent(host)}`);
      await unless(
        'not_found',
        client.send({ doing: `unbind port ${id} from ${host}`, method: 'DELETE', path }, options),
      );
    },

    async extensions(options) {
      if (known && clock.monotonicMs() < known.untilMs) return known.aliases;
      const json = await get('list extensions', 'extensions', {}, options);
      const aliases = new Set(objectsIn(json, 'extensions').map((each) => textOf(each, 'alias')));
      known = { aliases, untilMs: clock.monotonicMs() + extensionsKeptMs };
      return aliases;
    },
  };
  return neutron;
}

type Query = NonNullable<ServiceRequest['query']>;
