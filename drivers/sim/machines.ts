import { isDeepStrictEqual } from 'node:util';
import { DpuError } from '../../core/errors.ts';
import type { Domain, DomainDevice, DomainDiagnostics } from '../../core/ports/host-agent.ts';
import type { FunctionId, InstanceId } from '../../core/units.ts';
import { isServed, type SimContext } from './context.ts';
import type { MachineRow, WorldState } from './rows.ts';

/** Share of its CPUs that a guest uses, and what it reads, writes, gets and sends in a second. */
const load = { cpu: 0.1, requests: 4, requestBytes: 4096, packets: 10, packetBytes: 128 } as const;

/** Whether it has its devices: nothing beneath them may change then. */
export function isOn({ state }: Pick<MachineRow, 'state'>): boolean {
  return state === 'running' || state === 'paused';
}

/** The machine that has the function now. */
export function machineWith(state: WorldState, functionId: FunctionId): MachineRow | undefined {
  return state.machines
    .rows()
    .find((row) => isOn(row) && row.devices.some((device) => device.functionId === functionId));
}

/** The host lost its power: what ran is off; what was saved stays. */
export function loseMachines(state: WorldState): void {
  for (const row of state.machines.rows()) {
    if (isOn(row)) state.machines.set(row.instance, { ...row, ...off });
  }
}

/** What a machine that is off has otherwise than one that runs. */
export const off = { state: 'off', bootedFrom: null, startedAtMs: null } as const;

/** The machine, which must be there and ours. @throws `not_found`, `denied`. */
export function ownMachine(context: SimContext, instance: InstanceId): MachineRow {
  const row = maybeMachine(context, instance);
  if (row === undefined) throw new DpuError('not_found', `host has no machine ${instance}`);
  return row;
}

/** The machine, ours, or none. @throws `denied`. */
export function maybeMachine(context: SimContext, instance: InstanceId): MachineRow | undefined {
  const row = context.state.machines.get(instance);
  if (row === undefined || row.node !== null) return row;
  context.violate('foreign-touched', instance, 'a machine that another made');
  throw new DpuError('denied', `machine ${instance} is not ours`);
}

/** The row as the port shows it. */
export function viewOf(row: MachineRow): Domain {
  const { instance, node, name, flavor, firmware, devices, state } = row;
  return { instance, node, name, flavor, firmware, devices, state };
}

/** Gives a machine what it has been defined with, and begins to run it. @throws `exhausted`, `hardware`. */
export function powerUp(context: SimContext, row: MachineRow): void {
  const { state, options, clock } = context;
  const others = state.machines.rows().filter((each) => each.instance !== row.instance && isOn(each));
  const used = others.reduce((sum, each) => sum + each.flavor.memory_mib, 0);
  if (used + row.flavor.memory_mib > options.host.memoryMib) {
    throw new DpuError('exhausted', `host has no memory left for machine ${row.instance}`);
  }
  for (const device of row.devices) requirePassable(context, row.instance, device);
  const disks = row.devices
    .filter((each) => each.bootOrder !== null && state.attachments.has(each.functionId))
    .sort((a, b) => (a.bootOrder ?? 0) - (b.bootOrder ?? 0));
  state.machines.set(row.instance, {
    ...row,
    state: 'running',
    bootedFrom: disks[0]?.functionId ?? null,
    boots: row.boots + 1,
    startedAtMs: clock.wallMs(),
  });
}

/** A function can be given to a machine that runs: it is there at its address, served, and nobody else's. @throws `hardware`, `conflict`. */
export function requirePassable(context: SimContext, instance: InstanceId, device: DomainDevice): void {
  const { state } = context;
  const row = state.functions.get(device.functionId);
  if (row === undefined || !row.plugged || row.bdf !== device.bdf) {
    throw new DpuError('hardware', `host has no function ${device.functionId} at ${device.bdf}`);
  }
  const holder = machineWith(state, device.functionId);
  if (holder && holder.instance !== instance) {
    throw new DpuError('conflict', `function ${device.functionId} is another machine's`);
  }
  if (!isServed(state, row)) context.violate('passed-unserved', row.id, `machine ${instance} has nothing behind it`);
}

/** Whether a definition asks for what is there. */
export function sameDefinition(row: MachineRow, wanted: Omit<Domain, 'state'>): boolean {
  const { state: _state, ...have } = viewOf(row);
  return isDeepStrictEqual(have, wanted);
}

/** What it used, as if its guest did the same every second. */
export function diagnosticsOf(row: MachineRow, nowMs: number): DomainDiagnostics {
  const uptimeMs = row.startedAtMs === null ? 0 : Math.max(0, nowMs - row.startedAtMs);
  const per = (rate: number): number => Math.floor((uptimeMs * rate) / 1000);
  return {
    state: row.state,
    uptimeMs,
    cpuTimeMs: Math.floor(uptimeMs * row.flavor.vcpus * load.cpu),
    memoryMib: row.flavor.memory_mib,
    disks: row.devices
      .filter((each) => each.kind === 'disk')
      .map(({ functionId }) => ({
        functionId,
        readBytes: per(load.requests) * load.requestBytes,
        readRequests: per(load.requests),
        writtenBytes: per(load.requests) * load.requestBytes,
        writeRequests: per(load.requests),
      })),
    nics: row.devices
      .filter((each) => each.kind === 'nic')
      .map(({ functionId, mac }) => ({
        functionId,
        mac,
        receivedBytes: per(load.packets) * load.packetBytes,
        receivedPackets: per(load.packets),
        sentBytes: per(load.packets) * load.packetBytes,
        sentPackets: per(load.packets),
      })),
  };
}
