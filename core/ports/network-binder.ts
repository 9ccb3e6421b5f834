import type { FunctionId, Mac, PortId } from '../units.ts';
import type { OwnershipMark } from './ownership.ts';

/** A function's representor into the integration bridge, for a port. The same port with another spec is `conflict`. */
export interface BindSpec {
  readonly portId: PortId;
  readonly functionId: FunctionId;
  readonly representor: string;
  readonly mac: Mac;
  readonly mark: OwnershipMark;
}

/** What a binding waits for. */
export interface BindWait {
  /**
   * false: answered as soon as the switch has the port, whether or not traffic passes yet. So is mended what was bound before: another host may have
   * the port by now, and nobody must wait for that. Default true.
   */
  readonly traffic?: boolean;
}

/** A port of the integration bridge. */
export interface NetworkBinding {
  readonly portId: PortId;
  readonly functionId: FunctionId | null;
  readonly representor: string;
  readonly mac: Mac | null;
  /** Whether traffic can pass: the switch took the port without an error. */
  readonly healthy: boolean;
  readonly qos: QosSpec | null;
  /** null: not ours; never touched. */
  readonly mark: OwnershipMark | null;
}

/** Limits of a port; 0 is no limit. */
export interface QosSpec {
  readonly bitsPerSecond: number;
  readonly packetsPerSecond: number;
  readonly direction: 'egress' | 'ingress' | 'both';
}

/** Binds representors to the integration bridge (OVS). Every mutator is an ensure. */
export interface NetworkBinder {
  /** @throws `conflict`, `not_found` (no such representor), `unavailable`, `timeout`. */
  bind(spec: BindSpec, signal?: AbortSignal, wait?: BindWait): Promise<NetworkBinding>;
  /** One that is not there is fine; one that is not ours is `denied`. */
  unbind(portId: PortId, signal?: AbortSignal): Promise<void>;
  list(signal?: AbortSignal): Promise<readonly NetworkBinding[]>;
  /** @throws `unsupported` where the bridge's flows are another's. */
  setQos(portId: PortId, qos: QosSpec, signal?: AbortSignal): Promise<void>;
}
