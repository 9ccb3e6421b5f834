import type { OperationKind } from '../instance-state.ts';
import type { OperationRecord } from '../operation/journal.ts';
import type { Plan } from '../operation/plan.ts';
import type { JsonObject } from '../units.ts';
import type { HostInventory, PowerOwner, PowerState } from './power-controller.ts';

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
  /** Who works on the host's power now; null: nobody. */
  powerOwner(): PowerOwner | null;
}
