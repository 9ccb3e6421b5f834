import type { InstanceId, Mac, NodeId, PortId } from '../units.ts';

/** What a NIC shall hang on: a subnet (a port is made), or an existing port. */
export interface PortSpec {
  readonly portId: PortId;
  /** Name or id of the subnet; null: the port exists. */
  readonly subnet: string | null;
  /** Asked for by the request; null: the service chooses, or the existing port's. */
  readonly mac: Mac | null;
  readonly node: NodeId;
  readonly instance: InstanceId;
}

/** A port with its addresses. */
export interface NetworkPort {
  readonly portId: PortId;
  readonly subnet: string | null;
  readonly mac: Mac;
  readonly ips: readonly string[];
  readonly instance: InstanceId | null;
  /** Whether it was made for the instance and goes with it. */
  readonly madeForInstance: boolean;
}

/** Ports and their addresses: what Neutron does, or the embedded catalogue. Every mutator is an ensure. */
export interface NetworkService {
  /** Refuses what can't be had before anything is journaled. @throws `not_found` (subnet, port), `conflict` (MAC in use), `invalid`. */
  check(spec: PortSpec, signal?: AbortSignal): Promise<void>;
  /** @throws `not_found`, `conflict` (MAC in use, port has another instance), `exhausted` (no address left). */
  ensurePort(spec: PortSpec, signal?: AbortSignal): Promise<NetworkPort>;
  /** Lets go of the port: deleted where it was made for the instance. One that is not there is fine. */
  releasePort(portId: PortId, instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Takes a port that its mark tells of into a catalogue that lost it. One that is there already is fine. */
  readoptPort(port: NetworkPort): Promise<void>;
  /** Ports of the node's instances. */
  listPorts(node: NodeId, signal?: AbortSignal): Promise<readonly NetworkPort[]>;
}
