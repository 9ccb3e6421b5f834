import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Json, JsonObject } from '../../core/units.ts';
import type { FlowService } from '../../platform-adapter/openstack/flows/service.ts';
import type { Placement } from '../../platform-adapter/openstack/rest/placement.ts';
import { strandedTask } from '../../platform-adapter/openstack/stranded.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import { nova } from '../support/openstack/flow-scene.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const uuid = 'bbbbbbbb-0000-4000-8000-000000000001';

/** A host that has started, with one server. */
function scene(record: JsonObject, here: Instance['state'] | null, more: { busy?: boolean; evacuated?: boolean } = {}) {
  const now: Record<string, Json> = { uuid, host: 'h', node: 'h', ...record };
  const saves: { readonly set: JsonObject; readonly expected: Json }[] = [];
  const faults: JsonObject[] = [];
  const asked: string[] = [];
  const rpc = createNovaRpc(releaseOf('zed'), () => ({
    async call(_method, given) {
      const args = JSON.parse(JSON.stringify(given)) as JsonObject;
      const object = args.objinst as JsonObject | undefined;
      const name = `${String(object?.['nova_object.name'] ?? args.objname)}.${String(args.objmethod)}`;
      const list = (each: readonly Json[]) => nova('InstanceList', { objects: each });
      const data = (object?.['nova_object.data'] ?? {}) as JsonObject;
      switch (name) {
        case 'InstanceList.get_by_host':
          return list(now.host === 'h' ? [nova('Instance', now)] : []);
        case 'InstanceList.get_by_filters': {
          const [filters] = args.args as readonly JsonObject[];
          expect(filters).toEqual({ vm_state: 'building', uuid: [uuid] });
          return list(now.vm_state === 'building' ? [nova('Instance', now)] : []);
        }
        case 'Instance.get_by_uuid':
          return nova('Instance', now);
        case 'Instance.save': {
          const { uuid: _, ...set } = data;
          saves.push({ set, expected: (args.kwargs as JsonObject).expected_task_state ?? null });
          Object.assign(now, set);
          return [{}, null];
        }
        case 'InstanceFault.create':
          faults.push(data);
          return [{}, null];
        case 'MigrationList.get_by_filters':
          return nova('MigrationList', { objects: more.evacuated ? [nova('Migration', { id: 1 })] : [] });
        default:
          throw new Error(name);
      }
    },
    async cast() {},
    async close() {},
  }));
  const flows: Pick<FlowService, 'accept' | 'busy'> = {
    busy: () => more.busy === true,
    async accept({ method, args, received }) {
      expect(received.credentials).toBeNull();
      asked.push([method, args.reboot_type].join(' ').trim());
      return await Promise.resolve({} as Awaited<ReturnType<FlowService['accept']>>);
    },
  };
  const task = strandedTask({
    nova: rpc,
    placement: {
      findProviderByName: async () => ({ uuid: 'provider', name: 'h' }),
      providerAllocations: async () => ({ allocations: { [uuid]: {} } }),
    } as unknown as Placement,
    host: 'h',
    node: 'h',
    flows,
    service: {
      getInstance() {
        if (here === null) throw new DpuError('not_found', 'nothing');
        return { uuid, state: here } as Instance;
      },
    } as Pick<ComputeService, 'getInstance'>,
    clock: virtualClock(),
    random: seededRandom(1),
    log: silentLog,
  });
  const look = async (): Promise<void> => await task.run(new AbortController().signal);
  return { now, saves, faults, asked, look };
}

const active = { vm_state: 'active' };
const error = { vm_state: 'error', task_state: null };

describe('a server whose request nobody works on after a start', () => {
  it.each<[JsonObject, Instance['state'] | null, JsonObject | null, readonly string[]]>([
    [{ vm_state: 'building', task_state: null }, null, error, []],
    [{ vm_state: 'building', task_state: 'spawning' }, 'active', error, []],
    [{ vm_state: 'building', task_state: 'scheduling', host: null }, null, error, []],
    [{ vm_state: 'shelved_offloaded', task_state: 'spawning' }, null, error, []],
    [{ ...active, task_state: 'rebuild_spawning' }, null, error, []],
    [{ ...active, task_state: 'image_snapshot' }, 'active', { task_state: null }, []],
    [{ ...active, task_state: 'resize_prep' }, 'active', { task_state: null }, []],
    [{ ...active, task_state: 'resize_migrating' }, 'active', { task_state: null }, []],
    [{ ...active, task_state: 'resize_migrating' }, null, error, []],
    [{ ...active, task_state: 'deleting' }, 'active', null, ['terminate_instance']],
    [{ vm_state: 'error', task_state: 'deleting' }, null, null, ['terminate_instance']],
    [{ ...active, task_state: 'powering-off' }, 'active', null, ['stop_instance']],
    [{ vm_state: 'stopped', task_state: 'powering-on' }, 'stopped', null, ['start_instance']],
    [{ ...active, task_state: 'rebooting' }, 'active', null, ['reboot_instance SOFT']],
    [{ ...active, task_state: 'reboot_pending_hard' }, 'active', null, ['reboot_instance HARD']],
    [{ ...active, task_state: 'reboot_started' }, 'active', { task_state: null, vm_state: 'active' }, []],
    [
      { ...active, task_state: 'reboot_started' },
      'stopped',
      { task_state: 'reboot_pending_hard' },
      ['reboot_instance HARD'],
    ],
    [{ ...active, task_state: 'reboot_started_hard' }, 'stopped', null, ['reboot_instance HARD']],
    [{ ...active, task_state: 'pausing' }, 'active', { task_state: null, vm_state: 'active' }, []],
    [{ vm_state: 'paused', task_state: 'unpausing' }, 'paused', null, ['unpause_instance']],
  ])('%o, which is %s here', async (record, here, set, asked) => {
    const one = scene(record, here);
    await one.look();
    expect(one.saves).toEqual([]); // what has come just now is worked on soon
    await one.look();
    await one.look();
    const expected = [record.task_state ?? null];
    const [only] = expected;
    expect(one.saves).toEqual(set === null ? [] : [{ set, expected: only === null ? [null] : only }]);
    expect(one.asked).toEqual(asked);
    expect(one.faults).toHaveLength(set === error ? 1 : 0);
  });

  it.each<[string, JsonObject, { busy?: boolean; evacuated?: boolean }]>([
    ['it has no task', { ...active, task_state: null }, {}],
    ['it is in error', { vm_state: 'error', task_state: 'powering-on' }, {}],
    ['it is deleted softly', { vm_state: 'soft-delete', task_state: null }, {}],
    ['a flow has it', { ...active, task_state: 'powering-off' }, { busy: true }],
    ['another host makes it anew', { ...active, task_state: 'rebuilding' }, { evacuated: true }],
    ['it is another host’s', { vm_state: 'building', task_state: 'spawning', host: 'other' }, {}],
  ])('is left alone where %s', async (_why, record, more) => {
    const one = scene(record, 'active', more);
    for (let time = 0; time < 3; time += 1) await one.look();
    expect([one.saves, one.asked, one.faults]).toEqual([[], [], []]);
  });

  it('is left alone where it went on between the looks', async () => {
    const one = scene({ ...active, task_state: 'powering-off' }, 'active');
    await one.look();
    one.now.task_state = 'deleting';
    await one.look();
    await one.look();
    expect([one.saves, one.asked]).toEqual([[], []]);
  });
});
