import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InstanceState } from '../../core/instance-state.ts';
import { silentLog } from '../../core/ports/log.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { createExternalEvents } from '../../platform-adapter/openstack/flows/external-events.ts';
import { createFlowService } from '../../platform-adapter/openstack/flows/service.ts';
import { flowTable } from '../../platform-adapter/openstack/flows/table.ts';
import { openFlowStore } from '../../platform-adapter/openstack/store.ts';
import { readBlockDevices } from '../../platform-adapter/openstack/wire/block-devices.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { readContext } from '../../platform-adapter/openstack/wire/context.ts';
import { readInstance } from '../../platform-adapter/openstack/wire/instances.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { callName, differences, type Said, saidIn } from '../support/nova-form.ts';
import { inboundRequest, readRecording } from '../support/nova-recording.ts';
import { replayNova } from '../support/nova-replay.ts';
import { createFakeCompute } from '../support/openstack/fake-compute.ts';
import { createFakeServices } from '../support/openstack/fake-services.ts';
import { nova as novaObject } from '../support/openstack/flow-scene.ts';

/** How our flows differ from the recorded service on purpose: a pattern of the difference, as nova-form.ts words it -> why. */
const meant: readonly (readonly [RegExp, string])[] = [
  [
    /^[-+] (keystone|placement|neutron|cinder|glance) /,
    'REST is compared by the tests of its clients, and by what is left in the fakes',
  ],
  [/ComputeNode\.save|Service\.(save|get_by_compute_host)|InstanceList\.get/, 'the part of the node'],
  [/^[-+] .*InstanceInfoCache\.(refresh|get_by_instance_uuid)/, 'stock refreshes its copy of the cache; we have none'],
  [/^[-+] .*InstanceInfoCache\.save 1\.5/, 'written once, when the ports are known'],
  [/InstanceInfoCache\.save 1\.5: ~ network_info/, 'as the fake Neutron has it'],
  [/Instance\.get_by_uuid|InstancePCIRequests|ResourceList/, 'stock loads lazily what we read at once or not at all'],
  [/BlockDeviceMappingList\.get_by_instance_uuid/, 'read when it is needed'],
  [/BlockDeviceMapping\.save 1\.21/, 'disks are volumes, each saved as soon as it is known'],
  [/^[-+] .*Instance\.save 2\.7$/, 'in another order with what goes to other services; the states are compared below'],
  [/Instance\.save 2\.7: ~ (task_state|launched_at|terminated_at)/, 'as above; another time'],
  [/Instance\.save 2\.7: \+ task_state/, 'host and first task state are saved at once'],
  [/Instance\.save 2\.7: ~ \(kwargs\)/, 'a repeat after a restart may find the state that it sets'],
  [
    /Instance\.save 2\.7: - (ec2_ids|tags|resources|old_flavor|new_flavor|flavor|info_cache|numa_topology|pci_requests|pci_devices|keypairs|launched_at)/,
    'sparse: what did not change is not sent',
  ],
  [/Instance\.save 2\.7: [-+~] (system_metadata|power_state|vm_state|root_device_name)/, 'sparse, or another driver'],
  [/VirtualInterface\.create 1\.3: [-+~]/, 'another port'],
  [/Instance\.destroy 2\.7: [-+~]/, 'sparse'],
  [/update_instance_info: ~ instance_info/, 'the server as nova has it then'],
  [/[-+] .*VirtualInterface/, 'one for each port of the fake Neutron'],
];

interface Outcome {
  readonly said: readonly Said[];
  readonly different: readonly string[];
  readonly state: string | undefined;
  readonly unanswered: readonly string[];
  /** Consumers that hold something in Placement still. */
  readonly allocations: readonly string[];
}

/** Plays a recorded request to our flows; `here` is the instance's state on the node before. */
async function play(scenario: string, method: string, here: InstanceState | null): Promise<Outcome> {
  const recording = readRecording(scenario);
  const request = inboundRequest(recording, method);
  const nova = replayNova(recording);
  nova.answer('InstanceInfoCache.get_by_instance_uuid', null);
  nova.answer('Instance.get_by_uuid', request.args.instance);
  for (const name of ['BlockDeviceMapping.save', 'InstanceInfoCache.save', 'VirtualInterface.create', 'Instance.save'])
    nova.answer(name, [{}, null]);
  const none = novaObject('BlockDeviceMappingList', { objects: [] });
  nova.answer(
    'BlockDeviceMappingList.get_by_instance_uuid',
    request.args.block_device_mapping ?? request.args.bdms ?? none,
  );
  const fakes = createFakeServices();
  const { services } = fakes;
  const devices = request.args.block_device_mapping ?? request.args.bdms;
  for (const { volume_id: id, attachment_id: attachment } of devices ? readBlockDevices(devices, 'devices') : []) {
    if (id === null) continue;
    fakes.addVolume({ id });
    if (attachment !== null) fakes.attachments.set(attachment, { ...fakes.addAttachment(id, ''), id: attachment });
  }
  const compute = createFakeCompute();
  const { uuid } = readInstance(request.args.instance, 'instance');
  if (here !== null) compute.instances.set(uuid, here);
  fakes.allocations.add(uuid);
  const dir = mkdtempSync(join(tmpdir(), 'dpu-replay-'));
  const store = openFlowStore({
    file: join(dir, 'flows.db'),
    key: Buffer.alloc(32, 1),
    clock: systemClock,
    durability: 'off',
  });
  const flows = createFlowService({
    store,
    table: flowTable,
    maxConcurrent: 4,
    flows: {
      nova: createNovaRpc(releaseOf('zed'), nova.clients),
      services,
      asUser: () => services,
      placement: fakes.placement,
      compute: compute.service,
      settings: {
        host: 'fake1',
        node: 'fake1',
        nodeType: 'BM',
        vifPluggingTimeoutMs: 0,
        vifPluggingIsFatal: true,
        volumeType: null,
        availabilityZone: null,
        connector: { host: 'fake1', ip: '127.0.0.1', multipath: false, platform: 'x86_64', osType: 'linux' },
      },
      events: createExternalEvents(systemClock),
      resourcesChanged: () => {},
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    },
    onFatal: (error) => {
      throw error;
    },
  });
  try {
    const { id } = await flows.accept({
      method,
      args: request.args,
      received: readContext(request.context),
      uniqueId: request.uniqueId,
    });
    await flows.settled(id);
    const [end] = store.list(1);
    const found = differences(saidIn(recording), nova.said);
    return {
      said: nova.said,
      different: found.filter((each) => !meant.some(([pattern]) => pattern.test(each))),
      state: end?.error ? `${end.state}: ${end.error.message}` : end?.state,
      unanswered: nova.unanswered,
      allocations: [...fakes.allocations],
    };
  } finally {
    await flows.stop(0);
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Task states that were saved, in order: what other services see of a request. */
function taskStates(said: readonly Said[]): readonly unknown[] {
  return said.flatMap((each) => {
    if (each.kind !== 'message' || callName(each) !== 'Instance.save') return [];
    const object = each.args.objinst as unknown as Primitive;
    const isSet = (object['nova_object.changes'] ?? []).includes('task_state');
    return isSet ? [object['nova_object.data'].task_state] : [];
  });
}

/** Names of the action's events, begun and ended. */
function events(said: readonly Said[]): readonly string[] {
  return said.flatMap((each) => {
    if (each.kind !== 'message' || each.args.objname !== 'InstanceActionEvent') return [];
    return [`${String(each.args.objmethod)} ${JSON.stringify(each.args.args)}`];
  });
}

describe('a flow says what a stock compute service says', () => {
  it.each([
    ['build', 'build_and_run_instance', null],
    ['boot_from_volume', 'build_and_run_instance', null],
    ['delete', 'terminate_instance', 'active'],
    ['boot_from_volume_delete', 'terminate_instance', 'active'],
    ['stop', 'stop_instance', 'active'],
    ['start', 'start_instance', 'stopped'],
    ['reboot_soft', 'reboot_instance', 'active'],
    ['reboot_hard', 'reboot_instance', 'active'],
    ['pause', 'pause_instance', 'active'],
    ['unpause', 'unpause_instance', 'paused'],
    ['suspend', 'suspend_instance', 'active'],
    ['resume', 'resume_instance', 'stopped'],
  ] as const)('%s', async (scenario, method, here) => {
    const { said, different, state, unanswered, allocations } = await play(scenario, method, here);
    const recorded = saidIn(readRecording(scenario));
    expect(state).toBe('succeeded');
    expect(unanswered).toEqual([]);
    expect(different).toEqual([]);
    expect(events(said)).toEqual(events(recorded).slice(0, 2));
    expect(taskStates(said)).toEqual(taskStates(recorded));
    expect(allocations).toHaveLength(method === 'terminate_instance' ? 0 : 1);
  });
});
