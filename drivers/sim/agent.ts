import { difference } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import type { DomainDevice, DomainSpec, HostAgent } from '../../core/ports/host-agent.ts';
import type { InstanceId } from '../../core/units.ts';
import type { Caller } from './call.ts';
import { simConsole } from './console.ts';
import type { SimContext } from './context.ts';
import {
  diagnosticsOf,
  isOn,
  maybeMachine,
  off,
  ownMachine,
  powerUp,
  requirePassable,
  sameDefinition,
  viewOf,
} from './machines.ts';
import type { MachineRow } from './rows.ts';
import type { SimScreens } from './screens.ts';

/** The agent on the simulated host behind its port: machines that its functions are passed through to. */
export function simAgent(context: SimContext, call: Caller, screens: SimScreens): HostAgent {
  const { state, faults, options, clock } = context;
  /** A call about one machine; its host must be on. */
  const about = (
    method: string,
    instance: InstanceId,
    signal: AbortSignal | undefined,
    effect: () => void,
    before?: (wait: (ms: number) => Promise<void>) => Promise<void>,
  ): Promise<void> =>
    call({
      method,
      key: instance,
      signal,
      ...(before ? { before } : {}),
      effect: () => {
        requireHost(context);
        effect();
      },
    });
  const reads = <Result>(method: string, key: string, signal: AbortSignal | undefined, effect: () => Result) =>
    call({
      method,
      key,
      signal,
      reads: true,
      effect: (): Result => {
        requireHost(context);
        return effect();
      },
    });
  const put = (row: MachineRow, change: Partial<MachineRow>): void => {
    state.machines.set(row.instance, { ...row, ...change });
  };
  /** How long the guest takes to shut down; null: it takes no notice. */
  const shutdownMs = (instance: InstanceId): number | null => {
    const ignored = faults.take({ port: 'agent', method: 'shutdownDomain', key: instance }, 'ignores-soft-off');
    return ignored ? (ignored.ms ?? null) : options.timing.shutdownMs;
  };

  return {
    inventory: (signal) =>
      reads('inventory', 'host', signal, () => ({
        serialNumber: options.host.serialNumber,
        model: 'Simulated server',
        cpus: options.host.cpus,
        memoryMib: options.host.memoryMib,
        manufacturer: null,
        nics: [],
        disks: [],
        numa: [{ cpus: options.host.cpus, memoryMib: options.host.memoryMib }],
      })),
    listDomains: (signal) => reads('listDomains', 'host', signal, () => state.machines.rows().map(viewOf)),
    defineDomain: (spec, signal) => about('defineDomain', spec.instance, signal, () => define(context, spec)),
    undefineDomain: (instance, signal) =>
      about('undefineDomain', instance, signal, () => {
        const row = maybeMachine(context, instance);
        if (row === undefined) return;
        if (isOn(row)) throw new DpuError('bad_state', `machine ${instance} is on`);
        state.machines.delete(instance);
      }),
    startDomain: (instance, signal) =>
      about('startDomain', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (row.state === 'running') return;
        if (row.state !== 'off') throw new DpuError('bad_state', `machine ${instance} is ${row.state}`);
        powerUp(context, row);
      }),
    shutdownDomain: (instance, { deadlineMs }, signal) =>
      about(
        'shutdownDomain',
        instance,
        signal,
        () => {
          const row = ownMachine(context, instance);
          if (row.state === 'paused') throw new DpuError('bad_state', `machine ${instance} is paused`);
          if (row.state === 'running') put(row, off);
        },
        async (wait) => {
          if (state.machines.get(instance)?.state !== 'running') return;
          const takes = shutdownMs(instance);
          if (takes !== null && takes <= deadlineMs) return takes > 0 ? await wait(takes) : undefined;
          await wait(deadlineMs);
          throw new DpuError('timeout', `machine ${instance} did not shut down in time`);
        },
      ),
    destroyDomain: (instance, signal) =>
      about('destroyDomain', instance, signal, () => {
        const row = maybeMachine(context, instance);
        if (row) put(row, off);
      }),
    pauseDomain: (instance, signal) =>
      about('pauseDomain', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (!isOn(row)) throw new DpuError('bad_state', `machine ${instance} is ${row.state}`);
        put(row, { state: 'paused' });
      }),
    unpauseDomain: (instance, signal) =>
      about('unpauseDomain', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (!isOn(row)) throw new DpuError('bad_state', `machine ${instance} is ${row.state}`);
        put(row, { state: 'running' });
      }),
    suspendDomain: (instance, signal) =>
      about('suspendDomain', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (row.state === 'off') throw new DpuError('bad_state', `machine ${instance} is off`);
        if (isOn(row)) put(row, { ...off, state: 'suspended' });
      }),
    resumeDomain: (instance, signal) =>
      about('resumeDomain', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (row.state === 'running') return;
        if (row.state !== 'suspended') throw new DpuError('bad_state', `machine ${instance} is ${row.state}`);
        powerUp(context, row);
      }),
    attachDevice: (instance, device, signal) =>
      about('attachDevice', instance, signal, () => attach(context, instance, device)),
    detachDevice: (instance, functionId, { deadlineMs }, signal) =>
      about(
        'detachDevice',
        instance,
        signal,
        () => {
          const row = maybeMachine(context, instance);
          if (row) put(row, { devices: row.devices.filter((each) => each.functionId !== functionId) });
        },
        async (wait) => {
          const row = state.machines.get(instance);
          if (!row || !isOn(row) || !row.devices.some((each) => each.functionId === functionId)) return;
          if (!faults.take({ port: 'agent', method: 'detachDevice', key: instance }, 'not-released')) return;
          await wait(deadlineMs);
          throw new DpuError('busy', `guest of ${instance} did not release function ${functionId}`);
        },
      ),
    setAdminPassword: (instance, password, signal) =>
      about('setAdminPassword', instance, signal, () => {
        const row = ownMachine(context, instance);
        if (row.state !== 'running') throw new DpuError('bad_state', `machine ${instance} is ${row.state}`);
        if (faults.peek({ port: 'agent', method: 'setAdminPassword', key: instance }, 'no-guest-agent')) {
          throw new DpuError('unsupported', `guest of ${instance} has no agent`);
        }
        put(row, { adminPassword: password });
      }),
    diagnostics: (instance, signal) =>
      reads('diagnostics', instance, signal, () => diagnosticsOf(ownMachine(context, instance), clock.wallMs())),
    openConsole: async (instance, signal) => {
      await reads('openConsole', instance, signal, () => ownMachine(context, instance));
      return await simConsole(clock, 'machine', () => {
        const row = state.machines.get(instance);
        if (!row) return null;
        return { power: row.state === 'running' ? 'on' : 'off', boots: row.boots, bootedFrom: row.bootedFrom };
      }).open(signal);
    },
    vncAddress: async (instance, signal) => {
      await reads('vncAddress', instance, signal, () => ownMachine(context, instance));
      return await screens.address(instance);
    },
  };
}

function requireHost({ host }: SimContext): void {
  if (host.row().power === 'off') throw new DpuError('unavailable', 'the host of the machines is off');
}

function define(context: SimContext, spec: DomainSpec): void {
  const { state, options } = context;
  const row = maybeMachine(context, spec.instance);
  if (row && sameDefinition(row, spec)) return;
  if (row && row.state !== 'off') {
    const details = difference(row, spec);
    throw new DpuError('conflict', `machine ${spec.instance} is ${row.state} and has another definition`, {
      ...(details ? { details } : {}),
    });
  }
  if (spec.flavor.vcpus > options.host.cpus || spec.flavor.memory_mib > options.host.memoryMib) {
    throw new DpuError('exhausted', `machine ${spec.instance} is larger than the host`);
  }
  const kept = { state: 'off', bootedFrom: null, boots: 0, startedAtMs: null, adminPassword: null } as const;
  state.machines.set(spec.instance, { ...kept, ...row, ...spec });
}

function attach(context: SimContext, instance: InstanceId, device: DomainDevice): void {
  const row = ownMachine(context, instance);
  const there = row.devices.find((each) => each.functionId === device.functionId);
  if (there) {
    const details = difference(there, device);
    if (details && isOn(row))
      throw new DpuError('conflict', `machine ${instance} has the device otherwise`, { details });
  }
  if (isOn(row)) requirePassable(context, instance, device);
  const others = row.devices.filter((each) => each.functionId !== device.functionId);
  context.state.machines.set(instance, { ...row, devices: [...others, device] });
}
