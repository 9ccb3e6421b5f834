import type { InstanceId } from '../units.ts';
import type { HostInventory } from './power-controller.ts';

/** A virtual machine as the host has it. */
export interface Domain {
  readonly instance: InstanceId;
  readonly state: 'running' | 'paused' | 'off';
}

/** The agent on the host of a VM node (host-man). */
export interface HostAgent {
  inventory(signal?: AbortSignal): Promise<HostInventory>;
  listDomains(signal?: AbortSignal): Promise<readonly Domain[]>;
}
