import type { JsonObject } from '../../../core/units.ts';
import type { CallOptions } from './http.ts';
import type { Neutron } from './neutron.ts';

/** A VIF as nova's network_info lists it (nova.network.model.VIF); a JSON object, ready for InstanceInfoCache.network_info. */
export type Vif = JsonObject;

/** What network_info is made of. */
export interface NetworkInfoRequest {
  readonly projectId: string;
  readonly instance: string;
  /** Order of the VIFs, and whether each port was there before the instance. Ports of the instance that are not listed come last. */
  readonly ports: readonly { readonly id: string; readonly preserveOnDelete: boolean }[];
  /** Of the cache as it is: what is only known there (`meta`, `profile` of a port that we may not see) stays. */
  readonly previous?: readonly Vif[];
}

/** Asks Neutron for an instance's ports, networks, subnets, floating addresses and DHCP ports, and makes its network_info, as nova's `_build_network_info_model` does. */
export type NetworkInfoBuilder = (
  neutron: Neutron,
  request: NetworkInfoRequest,
  options?: CallOptions,
) => Promise<readonly Vif[]>;
