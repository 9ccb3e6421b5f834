import type { JsonObject } from '../../../core/units.ts';
import type { CallOptions } from './http.ts';

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
