import type { OperationKind } from '../instance-state.ts';
import type { OperationRecord } from '../operation/journal.ts';
import type { Plan } from '../operation/plan.ts';
import type { Flavor } from '../records.ts';
import type { FunctionId, InstanceId, JsonObject } from '../units.ts';
import type { Domain, HostAgent } from './host-agent.ts';
import type { HostInventory, PowerOwner, PowerState } from './power-controller.ts';

/** A machine as it should be, for whoever makes it again. */
export interface WantedMachine {
  readonly instance: InstanceId;
  readonly name: string;
  readonly flavor: Flavor;
  /** The disk to start from; null: none is known. */
  readonly boot: FunctionId | null;
}

/** The machines of a VM node, outside of operations: what is seen of them, and what mends them. Every mutator is an ensure. */
export interface Machines extends Pick<HostAgent, 'diagnostics' | 'openConsole' | 'vncAddress'> {
  /** Those of this node. */
  list(signal?: AbortSignal): Promise<readonly Domain[]>;
  /** Makes it, off, of the functions of the instance that the host can see. @throws as `HostAgent.defineDomain`; `timeout` while the host has not found them. */
  define(wanted: WantedMachine, signal: AbortSignal): Promise<void>;
  /** Gives it a function that the host can see. */
  pass(instance: InstanceId, functionId: FunctionId, signal: AbortSignal): Promise<void>;
  /** Takes a function from it, with the guest's consent while it runs. @throws `busy`. */
  take(instance: InstanceId, functionId: FunctionId, signal: AbortSignal): Promise<void>;
  /** Takes its power away, and has the host forget it. */
  remove(instance: InstanceId, signal: AbortSignal): Promise<void>;
}

/** How instances are made on this node: bare metal, or virtual machines. */
export interface ComputeDriver {
  readonly nodeType: 'BM' | 'VM';
  /** The version that new operations of a kind get; null where the driver can't do it. */
  planVersion(kind: OperationKind): number | null;
  /** The plan of an operation; depends on its arguments alone. @throws DpuError `unsupported` for an unknown version. */
  plan(operation: OperationRecord, input: JsonObject): Plan;
  inventory(signal?: AbortSignal): Promise<HostInventory>;
  /** Power of the host (BM); of a VM node's host likewise. */
  hostPower(signal?: AbortSignal): Promise<PowerState>;
  /** Power as it was last seen or set, without asking; `unknown` after a question that was not answered. */
  lastPower(): PowerState;
  /** null: an instance is the host. */
  readonly machines?: Machines | null;
  /** Who works on the host's power now; null: nobody. */
  powerOwner(): PowerOwner | null;
}
