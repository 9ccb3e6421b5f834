import type { Duplex } from 'node:stream';
import type { Flavor } from '../records.ts';
import type { FunctionId, InstanceId, Mac, NodeId } from '../units.ts';
import type { HostInventory } from './power-controller.ts';

/** A part of the host with its own memory. */
export interface NumaCell {
  readonly cpus: number;
  readonly memoryMib: number;
}

/** What machines can be given of the host. */
export interface MachineInventory extends HostInventory {
  /** Its NUMA cells; empty where nobody knows. */
  readonly numa: readonly NumaCell[];
}

/** A function of the card that is passed through to a machine. */
export interface DomainDevice {
  readonly functionId: FunctionId;
  readonly kind: 'disk' | 'nic';
  /** Its address on the host, `0000:xx:xx.x`. */
  readonly bdf: string;
  /** NICs only. */
  readonly mac: Mac | null;
  /** The machine tries its disks in this order, from 1 on; null: never. */
  readonly bootOrder: number | null;
}

/** What a machine is made of; its uuid is the instance's. */
export interface DomainSpec {
  readonly instance: InstanceId;
  /** Whose it is: the mark by which a start with an empty store finds it again. */
  readonly node: NodeId;
  readonly name: string;
  /** CPUs and memory, and the name that the record gets back when it is readopted. */
  readonly flavor: Flavor;
  readonly firmware: 'uefi' | 'bios';
  readonly devices: readonly DomainDevice[];
}

/** `suspended`: off, with its memory on the disk. */
export type DomainState = 'running' | 'paused' | 'off' | 'suspended';

/** A virtual machine as the host has it. */
export interface Domain extends Omit<DomainSpec, 'node'> {
  /** null: not ours; never touched. */
  readonly node: NodeId | null;
  readonly state: DomainState;
}

/** What a machine used since it was started. */
export interface DomainDiagnostics {
  readonly state: DomainState;
  readonly uptimeMs: number;
  /** Of all its CPUs together. */
  readonly cpuTimeMs: number;
  readonly memoryMib: number;
  readonly disks: readonly DiskCounters[];
  readonly nics: readonly NicCounters[];
}

/** Counters of a disk. */
export interface DiskCounters {
  readonly functionId: FunctionId;
  readonly readBytes: number;
  readonly readRequests: number;
  readonly writtenBytes: number;
  readonly writeRequests: number;
}

/** Counters of a NIC, as the machine sees it. */
export interface NicCounters {
  readonly functionId: FunctionId;
  readonly mac: Mac | null;
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
}

/** A password of one of the guest's users. */
export interface GuestUserPassword {
  readonly user: string;
  /** crypt(5), as in shadow(5): the agent never sees the password itself. */
  readonly hash: string;
}

/** How long the guest has for something, in milliseconds. */
export interface GuestDeadline {
  readonly deadlineMs: number;
}

/** Where a screen can be looked at, from the SoC. */
export interface VncAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * The agent on the host of a VM node (host-man). Every mutator is an ensure: asked for what is so already, it does nothing. There is no
 * reboot: off and on are two calls, so that one that was cut short is known to be so.
 * All reject with DpuError `unavailable` when the agent or its host is away, `timeout`, `hardware`; mutators with `denied` for a domain that
 * is not ours.
 */
export interface HostAgent {
  inventory(signal?: AbortSignal): Promise<MachineInventory>;
  /** All domains, ours and others'. */
  listDomains(signal?: AbortSignal): Promise<readonly Domain[]>;
  /**
   * Makes the machine, off. One that is off gets the new definition: so it is resized, and started from another disk.
   * @throws `conflict` (it is not off and has another definition), `invalid`, `exhausted` (more than the host has).
   */
  defineDomain(spec: DomainSpec, signal?: AbortSignal): Promise<void>;
  /** Forgets it, with its saved memory. One that is not there is fine. @throws `bad_state` while it runs or is paused. */
  undefineDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /**
   * Ends when it runs. @throws `not_found`, `bad_state` (paused, suspended), `exhausted` (memory), `hardware` (a function is not
   * where the definition says).
   */
  startDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Asks the guest to shut down; ends when it is off. @throws `not_found`, `timeout` when the guest takes no notice, `bad_state` (paused). */
  shutdownDomain(instance: InstanceId, options: GuestDeadline, signal?: AbortSignal): Promise<void>;
  /** Takes its power away; the saved memory of a suspended one is dropped. One that is not there is fine. */
  destroyDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** @throws `not_found`, `bad_state` when it does not run. */
  pauseDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** @throws `not_found`, `bad_state` when it is neither paused nor running. */
  unpauseDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Its memory goes to the disk, and it is off. @throws `not_found`, `bad_state`, `exhausted` (disk), `unsupported` (its devices can't be parted with). */
  suspendDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Goes on where it was suspended. @throws as `startDomain`, and `bad_state` when it is off. */
  resumeDomain(instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Gives it a device, at once where it runs. @throws `not_found`, `conflict` (another machine has it), `hardware` (no such function at the address). */
  attachDevice(instance: InstanceId, device: DomainDevice, signal?: AbortSignal): Promise<void>;
  /**
   * Takes a device from it: acknowledged by a running guest, at once while it is off. A domain or device that is not there is fine.
   * @throws `busy` when the guest did not release it in time.
   */
  detachDevice(
    instance: InstanceId,
    functionId: FunctionId,
    options: GuestDeadline,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Through the guest's own agent. @throws `not_found`, `bad_state` when it does not run, `unsupported` where the guest has no agent. */
  setAdminPassword(instance: InstanceId, password: GuestUserPassword, signal?: AbortSignal): Promise<void>;
  /** @throws `not_found`. */
  diagnostics(instance: InstanceId, signal?: AbortSignal): Promise<DomainDiagnostics>;
  /** Its serial console, for as long as it is defined: it shows something while the machine runs. @throws `not_found`, `busy`. */
  openConsole(instance: InstanceId, signal: AbortSignal): Promise<Duplex>;
  /** @throws `not_found`, `unsupported` where it has no screen, `bad_state` when it does not run. */
  vncAddress(instance: InstanceId, signal?: AbortSignal): Promise<VncAddress>;
}
