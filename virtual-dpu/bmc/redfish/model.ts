/** What the resources are made from, and where they are. */
import { bootOrder, bootReference } from '../boot.ts';
import type { HostDevice } from '../devices.ts';
import type { MachinePower } from '../machine.ts';
import type { Persona } from '../personas.ts';
import type { BmcState } from '../state.ts';
import type { Node } from './json.ts';
import type { Session } from './sessions.ts';

/** The service root's path. */
export const V1 = '/redfish/v1';

/** A BIOS attribute that is shown and that nobody can set. */
export const BIOS_SERIAL = 'SystemSerialNumber';

/** Name of the registry of BIOS attributes. */
export const BIOS_REGISTRY = 'BiosAttributeRegistry.1.0.0';

/** What does not change about the host. */
export interface HostFacts {
  readonly uuid: string;
  readonly serialNumber: string;
  readonly arch: 'x86_64' | 'aarch64';
  readonly cpus: number;
  readonly memoryMib: number;
}

/** All that the resources are made from. */
export interface Snapshot {
  readonly facts: HostFacts;
  readonly persona: Persona;
  readonly state: BmcState;
  readonly power: MachinePower;
  readonly devices: readonly HostDevice[];
  readonly sessions: readonly Session[];
  readonly ipmiPort: number;
}

/** Where the resources of a persona are. */
export interface Paths {
  readonly system: string;
  readonly chassis: string;
  readonly manager: string;
  readonly bios: string;
  readonly biosSettings: string;
  readonly reset: string;
  readonly resetBios: string;
  readonly sessions: string;
  readonly events: string;
}

/** A link to a resource. */
export type Reference = { readonly '@odata.id': string };

/** Builds resources into a tree. */
export interface TreeBuilder {
  /** Adds one and answers a link to it. */
  add(path: string, type: string, body: Node): Reference;
  /** Adds a collection of resources that are in the tree already. */
  collect(path: string, kind: string, members: readonly Reference[]): Reference;
}

/** Paths of a persona's resources. */
export function pathsOf({ ids, biosSettings }: Persona): Paths {
  const system = `${V1}/Systems/${ids.system}`;
  return {
    system,
    chassis: `${V1}/Chassis/${ids.chassis}`,
    manager: `${V1}/Managers/${ids.manager}`,
    bios: `${system}/Bios`,
    biosSettings: `${system}/Bios/${biosSettings.name}`,
    reset: `${system}/Actions/ComputerSystem.Reset`,
    resetBios: `${system}/Bios/Actions/Bios.ResetBios`,
    sessions: `${V1}/SessionService/Sessions`,
    events: `${V1}/EventService/SSE`,
  };
}

/** The boot order as it is shown: what can be booted from now. */
export function shownBootOrder({ state, devices }: Snapshot): readonly string[] {
  return bootOrder(state.boot, devices).map(bootReference);
}

/** Status of what works. */
export const ENABLED = { State: 'Enabled', Health: 'OK' } as const;

/** The PCIe function that a device is. */
export function functionOf({ chassis }: Paths, device: HostDevice): Reference {
  return { '@odata.id': `${chassis}/PCIeDevices/${device.id}/PCIeFunctions/0` };
}
