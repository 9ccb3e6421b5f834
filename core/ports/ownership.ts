import type { InstanceId, NodeId } from '../units.ts';

/** What a function is to its instance. */
export type FunctionRole = 'nic' | 'disk' | 'boot';

/**
 * The mark that everything we make in a peer carries. By it a start with an empty store finds its own again, and
 * nothing without it is ever touched. It holds what is needed to make an instance's record anew.
 */
export interface OwnershipMark {
  readonly node: NodeId;
  readonly instance: InstanceId;
  readonly role: FunctionRole;
  /** Id of the port or volume that the thing serves. */
  readonly key: string;
  /** The instance's name and flavor, for its record. */
  readonly name: string;
  readonly flavor: { readonly name: string; readonly vcpus: number; readonly memory_mib: number };
  /** A volume that was made for the instance and goes with it. */
  readonly deleteWithInstance?: boolean;
  /** nic: what the port was given, so that it can be taken into an empty catalogue again. */
  readonly port?: { readonly subnet: string | null; readonly ips: readonly string[] };
}
