/** What the crash suite does to a node: one scenario per plan, and what the steps of the plans do to the world. */

import {
  diskFunctionId,
  nicFunctionId,
  rebuiltVolumeId,
  requestedPortId,
  rescueVolumeId,
  rootVolumeId,
} from '../../core/derived-ids.ts';
import type { OperationKind } from '../../core/instance-state.ts';
import { asId, type InstanceId, type PortId, type VolumeId } from '../../core/units.ts';
import type { FaultOrder, SimPeer } from '../../drivers/sim/faults.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { SimNode } from './sim-node.ts';

/** The instance that everything is about. */
export const instance = asId<InstanceId>('11111111-0000-4000-8000-000000000001');
/** A volume that others made, in every build. */
export const builtVolume = asId<VolumeId>('22222222-0000-4000-8000-000000000001');
/** A volume that others made, attached later. */
export const laterVolume = asId<VolumeId>('22222222-0000-4000-8000-000000000002');
const secondPort = requestedPortId(instance, 'build', 1);

/** A node that a scenario starts from. */
export type BaseName = 'empty' | 'active' | 'stopped' | 'rescued' | 'lent' | 'bootless';

/** Base -> the one that it is made from, and the scenario that makes it. */
export const bases: readonly (readonly [to: BaseName, from: BaseName, scenarios: readonly string[]])[] = [
  ['active', 'empty', ['build']],
  ['stopped', 'active', ['stop']],
  ['rescued', 'active', ['rescue']],
  // starts from a volume that others made, and is stopped
  ['lent', 'empty', ['build-lent', 'stop']],
  ['bootless', 'lent', ['detach-boot']],
];

/** One plan, or one way through it. */
export interface Scenario {
  readonly name: string;
  readonly base: BaseName;
  /** Kind of the operation that it is about. */
  readonly kind: OperationKind;
  /** Scenario that is done instead when the death comes before the last request was accepted. */
  readonly instead?: string;
  /** Scenario from the same base whose end it passes through: a lost store may find it there. */
  readonly through?: string;
  /** Faults that stand in every life. */
  readonly faults: readonly FaultOrder[];
  submit(service: SimNode['service']): Promise<unknown>;
}

const by = { by: 'crash' };
const uuid = instance;

const build = (service: SimNode['service']) =>
  service.submit(
    'build_and_run_instance',
    {
      uuid,
      name: 'crashed',
      flavor: '4c8g',
      image: 'demo',
      volumes: [{ volume_id: builtVolume }],
      networks: [{ subnet: 'net1' }, { subnet: 'net1' }],
      userdata: '#cloud-config\n',
      config_drive: true,
    },
    by,
  );
const buildLent = (service: SimNode['service']) =>
  service.submit(
    'build_and_run_instance',
    { uuid, name: 'lent', flavor: '4c8g', volumes: [{ volume_id: builtVolume, bootable: true }] },
    by,
  );
const rebuild = (service: SimNode['service']) =>
  service.submit(
    'rebuild_instance',
    { uuid, userdata: { admin_pass: 'crash' }, ssh_keys: ['ssh-ed25519 AAAA'], request_id: 'again' },
    by,
  );
const destroy = (service: SimNode['service']) => service.submit('destroy_instance', { uuid }, by);
const stop = (service: SimNode['service']) => service.submit('stop_instance', { uuid, timeout: 5 }, by);
const reboot = (type: 'soft' | 'hard') => (service: SimNode['service']) =>
  service.submit('reboot_instance', { uuid, type }, by);

/** Ends when the operation that runs has come so far. */
function stepsDone(service: SimNode['service'], count: number): Promise<void> {
  return new Promise((resolve) => {
    const leave = service.subscribe(({ type, data }) => {
      if (type !== 'operation' || (data as Operation).progress.done < count) return;
      leave();
      resolve();
    }, Number.POSITIVE_INFINITY);
  });
}

/** Every plan of a bare-metal node, and the ways in which one overtakes another. */
export const scenarios: readonly Scenario[] = [
  { name: 'build', base: 'empty', kind: 'build', faults: [], submit: build },
  {
    name: 'build-cancelled',
    base: 'empty',
    kind: 'build',
    instead: 'build',
    faults: [],
    async submit(service) {
      const { id } = await build(service);
      await stepsDone(service, 8);
      await service.cancelOperation(id, by);
    },
  },
  {
    name: 'build-overtaken',
    base: 'empty',
    kind: 'destroy',
    instead: 'build',
    faults: [],
    async submit(service) {
      await build(service);
      await stepsDone(service, 17);
      await destroy(service);
    },
  },
  { name: 'destroy', base: 'active', kind: 'destroy', faults: [], submit: destroy },
  {
    name: 'start',
    base: 'stopped',
    kind: 'start',
    faults: [],
    submit: (service) => service.submit('start_instance', { uuid }, by),
  },
  { name: 'stop', base: 'active', kind: 'stop', faults: [], submit: stop },
  {
    name: 'stop-ignored',
    base: 'active',
    kind: 'stop',
    faults: [{ port: 'power', method: 'powerOff', kind: 'ignores-soft-off' }],
    submit: stop,
  },
  { name: 'build-lent', base: 'empty', kind: 'build', faults: [], submit: buildLent },
  ...(['active', 'stopped', 'rescued'] as const).map(
    (base): Scenario => ({
      name: `rebuild-${base}`,
      base,
      kind: 'rebuild',
      ...(base === 'rescued' ? { through: 'unrescue' } : {}),
      faults: [],
      submit: rebuild,
    }),
  ),
  {
    name: 'rebuild-lent',
    base: 'lent',
    kind: 'rebuild',
    faults: [],
    submit: (service) => service.submit('rebuild_instance', { uuid, userdata: '#!/bin/sh' }, by),
  },
  ...(['active', 'stopped'] as const).map(
    (base): Scenario => ({
      name: base === 'active' ? 'rescue' : `rescue-${base}`,
      base,
      kind: 'rescue',
      faults: [],
      submit: (service) => service.submit('rescue_instance', { uuid, admin_pass: 'crash' }, by),
    }),
  ),
  {
    name: 'unrescue',
    base: 'rescued',
    kind: 'unrescue',
    faults: [],
    submit: (service) => service.submit('unrescue_instance', { uuid }, by),
  },
  {
    name: 'reset-password',
    base: 'active',
    kind: 'reset_admin_password',
    faults: [],
    submit: (service) => service.submit('reset_instance_admin_password', { uuid, new_password: 'crash' }, by),
  },
  {
    name: 'detach-boot',
    base: 'lent',
    kind: 'detach_volume',
    faults: [],
    submit: (service) => service.submit('detach_volume', { uuid, volume_id: builtVolume }, by),
  },
  {
    name: 'attach-boot',
    base: 'bootless',
    kind: 'attach_volume',
    faults: [],
    submit: (service) =>
      service.submit('attach_volume', { uuid, volume: { volume_id: builtVolume, bootable: true } }, by),
  },
  { name: 'reboot-soft', base: 'active', kind: 'reboot', faults: [], submit: reboot('soft') },
  { name: 'reboot-hard', base: 'active', kind: 'reboot', faults: [], submit: reboot('hard') },
  ...(['active', 'stopped'] as const).flatMap((base): Scenario[] => [
    {
      name: `attach-volume-${base}`,
      base,
      kind: 'attach_volume',
      faults: [],
      submit: (service) => service.submit('attach_volume', { uuid, volume: { volume_id: laterVolume } }, by),
    },
    {
      name: `attach-interface-${base}`,
      base,
      kind: 'attach_interface',
      faults: [],
      submit: (service) =>
        service.submit('attach_interface', { uuid, network: { subnet: 'net1' }, request_id: 'later' }, by),
    },
    {
      name: `detach-volume-${base}`,
      base,
      kind: 'detach_volume',
      faults: [],
      submit: (service) => service.submit('detach_volume', { uuid, volume_id: builtVolume }, by),
    },
    {
      name: `detach-interface-${base}`,
      base,
      kind: 'detach_interface',
      faults: [],
      submit: (service) => service.submit('detach_interface', { uuid, port_id: secondPort }, by),
    },
  ]),
];

/** The scenario of a name. @throws Error */
export function scenarioOf(name: string): Scenario {
  const found = scenarios.find((each) => each.name === name);
  if (!found) throw new Error(`no scenario ${name}`);
  return found;
}

/** A call of a port that changes something. */
export interface Effect {
  readonly port: SimPeer;
  readonly method: string;
  readonly key: string;
}

const effectsByWhat: Readonly<Record<string, readonly (readonly [SimPeer, string])[]>> = {
  function: [
    ['snic', 'ensureFunction'],
    ['snic', 'releaseFunction'],
  ],
  volume: [
    ['volume', 'ensureVolumeFromImage'],
    ['volume', 'ensureDrive'],
    ['volume', 'deleteVolume'],
  ],
  connect: [
    ['volume', 'connect'],
    ['volume', 'disconnect'],
  ],
  attach: [
    ['storage', 'attach'],
    ['storage', 'detach'],
    ['volume', 'connect'],
  ],
  bind: [
    ['ovs', 'bind'],
    ['ovs', 'unbind'],
  ],
  plug: [
    ['snic', 'plugFunction'],
    ['snic', 'unplugFunction'],
  ],
  unplug: [['snic', 'unplugFunction']],
  unbind: [['ovs', 'unbind']],
  detach: [['storage', 'detach']],
  disconnect: [['volume', 'disconnect']],
  delete: [['volume', 'deleteVolume']],
  release: [['snic', 'releaseFunction']],
  off: [['power', 'powerOff']],
  'soft-off': [
    ['power', 'powerOff'],
    ['power', 'powerOn'],
  ],
  reset: [
    ['power', 'reset'],
    ['power', 'powerOff'],
    ['power', 'powerOn'],
  ],
  write: [['volume', 'ensureDrive']],
  on: [
    ['power', 'powerOn'],
    ['power', 'powerOff'],
  ],
  'boot-device': [['power', 'setNextBoot']],
};

/** What the host starts from in one scenario or another. */
const bootVolumes = [rootVolumeId(instance), rebuiltVolumeId(instance, 'again'), rescueVolumeId(instance), builtVolume];

/** What a step, or its undo, may do to the world; the step's own first, then its undo's. */
export function effectsOf(step: string): readonly Effect[] {
  const [kind = '', what = '', key = ''] = step.split(':');
  const effects = effectsByWhat[what] ?? [];
  return effects.flatMap(([port, method]) => {
    if (kind === 'host') {
      if (method !== 'setNextBoot') return { port, method, key: 'host' };
      return bootVolumes.map((volume) => ({ port, method, key: diskFunctionId(instance, volume) }));
    }
    const functionId =
      kind === 'disk' ? diskFunctionId(instance, asId<VolumeId>(key)) : nicFunctionId(instance, asId<PortId>(key));
    return { port, method, key: port === 'snic' || port === 'storage' ? functionId : key };
  });
}
