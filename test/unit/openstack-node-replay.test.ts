import { describe, expect, it } from 'vitest';
import { differences, type Said, saidIn } from '../support/nova-form.ts';
import { type Recording, readRecording } from '../support/nova-recording.ts';
import { registeredBefore, startScene, uuid } from './openstack-node/scene.ts';

const provider = `/resource_providers/${uuid}`;
const conductor = 'nova/conductor 3.0';

/** How a node of ours differs from the recorded one on purpose: the difference, as nova-form.ts words it -> why. */
const meant: Readonly<Record<string, string>> = {
  '- keystone GET /': 'the address of the API is set, not discovered',
  '- keystone POST /v3/auth/tokens': 'a token is asked for when it is first needed',
  '+ keystone POST /v3/auth/tokens': 'as above',
  '- placement GET /': 'we ask with one microversion that every supported release has',
  [`- ${conductor} PciDeviceList.get_by_compute_node [7]`]: 'the card hands functions out by itself; nova tracks none',
  [`- ${conductor} ComputeNode.save 1.19`]: 'the new record has its usage from the beginning',
  [`${conductor} ComputeNode.create 1.19: + current_workload`]: 'as above: what stock saves second',
  [`${conductor} ComputeNode.create 1.19: + free_disk_gb`]: 'as above',
  [`${conductor} ComputeNode.create 1.19: + free_ram_mb`]: 'as above',
  [`${conductor} ComputeNode.create 1.19: + metrics`]: 'as above',
  [`${conductor} ComputeNode.create 1.19: + running_vms`]: 'as above',
  [`${conductor} ComputeNode.create 1.19: ~ memory_mb_used`]: 'as above: what is reserved is in it at once',
  [`${conductor} ComputeNode.create 1.19: ~ stats`]: 'as above: with the counts',
  [`${conductor} ComputeNode.create 1.19: + uuid`]: "the node's own uuid, the same when the record is made again",
  [`${conductor} ComputeNode.create 1.19: + mapped`]:
    'a record that was deleted comes back with its uuid, and must be found by discover_hosts',
  [`${conductor} ComputeNode.create 1.19: ~ cpu_info`]: 'another host',
  [`${conductor} ComputeNode.create 1.19: ~ hypervisor_type`]: 'not the fake driver',
  [`${conductor} ComputeNode.create 1.19: ~ hypervisor_version`]: 'not the fake driver',
  [`${conductor} ComputeNode.create 1.19: ~ supported_hv_specs`]: 'not the fake driver',
  [`${conductor} ComputeNode.save 1.19: ~ cpu_info`]: 'another host',
  [`${conductor} ComputeNode.save 1.19: ~ hypervisor_type`]: 'not the fake driver',
  [`${conductor} ComputeNode.save 1.19: ~ hypervisor_version`]: 'not the fake driver',
  [`${conductor} ComputeNode.save 1.19: ~ supported_hv_specs`]: 'not the fake driver',
  [`${conductor} ComputeNode.save 1.19: + host`]: 'a process that starts saves all of the record',
  [`${conductor} ComputeNode.save 1.19: + cpu_allocation_ratio`]: 'as above',
  [`${conductor} ComputeNode.save 1.19: + ram_allocation_ratio`]: 'as above',
  [`${conductor} ComputeNode.save 1.19: + disk_allocation_ratio`]: 'as above',
  [`${conductor} ComputeNode.save 1.19: - pci_device_pools`]: 'no PCI devices',
  [`- ${conductor} ComputeNode.get_by_host_and_nodename ["fake1","fake1"]`]: 'the list of nodes has just told it',
  [`- ${conductor} Service.get_by_compute_host ["fake1"]`]: 'asked before the report and not within',
  [`+ ${conductor} Service.get_by_compute_host ["fake1"]`]: 'as above',
  '+ placement PUT /resource_classes/CUSTOM_DPU': 'the DPU is offered',
  '+ placement PUT /traits/CUSTOM_DPU_NODE_VM': 'the type of the node is a trait',
  '+ placement PUT /traits/CUSTOM_DPU_SIM': 'the model of the DPU is a trait',
  [`placement PUT ${provider}/inventories: ~ inventories`]: 'with the DPU',
  [`placement PUT ${provider}/traits: ~ traits`]: 'what a DPU node can do',
  [`- placement GET ${provider}/allocations`]: 'read once an update; a new provider has none',
  [`- placement GET ${provider}/aggregates`]: "aggregates are an operator's, and not looked at",
  '- placement GET /allocations/bf506092-16ad-43d4-bd1b-b3393f07ee01': 'assigned resources (vPMEM): none here',
  [`- ${conductor} Instance.get_by_uuid []`]: 'recovery is the part of the flows, with what the list has',
  [`- ${conductor} BlockDeviceMappingList.get_by_instance_uuid ["bf506092-16ad-43d4-bd1b-b3393f07ee01"]`]:
    'for swap disks, which come out of DISK_GB here',
  '- scheduler_fanout/ 4.2 update_instance_info': 'the schedulers are told the ids, and read the servers themselves',
  '+ scheduler_fanout/ 4.2 sync_instance_info': 'as above',
  [`+ ${conductor} InstanceList.get_by_host ["fake1"]`]: 'the ids for that',
  [`- ${conductor} InstanceList.get_by_host ["fake1"]`]: 'the recorded pass for power states; ours is due later',
};

function expectMeant(recorded: readonly Said[], ours: readonly Said[]): void {
  expect(differences(recorded, ours).filter((each) => !Object.hasOwn(meant, each))).toEqual([]);
}

async function started(recording: Recording) {
  const scene = startScene(recording);
  const node = scene.start();
  return { ...scene, node };
}

describe('a node says what a stock compute service says', () => {
  it('when the cloud does not know it', async () => {
    const recording = readRecording('startup_first');
    const { nova, clock, node, asked } = await started(recording);
    await clock.drive(node.serving, 60_000);
    await clock.advance(5_000);
    expectMeant(saidIn(recording), nova.said);
    expect(nova.unanswered).toEqual([]);
    expect(asked).toEqual(['recover 0', 'serve']);
    await node.stop();
  });

  it('when it starts again with a server', async () => {
    const recording = readRecording('startup_with_server');
    const { nova, clock, node, asked } = await started(recording);
    registeredBefore(nova);
    await clock.drive(node.serving, 60_000);
    await clock.advance(15_000);
    expectMeant(saidIn(recording), nova.said);
    expect(nova.unanswered).toEqual([]);
    expect(asked).toEqual(['recover 1', 'serve']);
    await node.stop();
  });

  it('while nothing happens', async () => {
    const [start, steady] = [readRecording('startup_first'), readRecording('steady_state_75s')];
    const { nova, clock, node } = await started({ name: 'both', events: [...start.events, ...steady.events] });
    await clock.drive(node.serving, 60_000);
    await clock.advance(11_300); // the first report of the recording comes 8.7 s after its beginning
    const before = nova.said.length;
    await clock.advance(75_000);
    expectMeant(saidIn(steady), nova.said.slice(before));
    expect(nova.unanswered).toEqual([]);
    await node.stop();
  });
});

describe('the comparison tells', () => {
  const recorded = saidIn(readRecording('startup_first'));

  it('nothing of the recording itself', () => {
    expect(differences(recorded, recorded)).toEqual([]);
  });

  it('what is missing, what is more, and what stands elsewhere', () => {
    const [first, second, ...rest] = recorded.slice(4);
    if (first === undefined || second === undefined) throw new Error('the recording is empty');
    expect(differences([first, second, ...rest], [first, ...rest])).toHaveLength(1);
    expect(differences([first, ...rest], [first, second, ...rest])).toHaveLength(1);
    expect(differences([first, second, ...rest], [second, first, ...rest])).toHaveLength(2);
  });

  it('another version, field or value', () => {
    const save = recorded.filter((each) => each.kind === 'message' && each.method === 'object_action').at(-1);
    if (save?.kind !== 'message') throw new Error('the recording saves nothing');
    const text = JSON.stringify(save);
    const changed = (from: string, to: string): Said[] => [JSON.parse(text.replaceAll(from, to)) as Said];
    expect(differences([save], changed('"1.22"', '"1.23"'))).toHaveLength(2);
    expect(differences([save], changed('"report_count":1', '"report_count":2'))).toEqual([
      'nova/conductor 3.0 Service.save 1.22: ~ report_count',
    ]);
    expect(differences([save], changed('["report_count"]', '["report_count","topic"]'))).toEqual([
      'nova/conductor 3.0 Service.save 1.22: + topic',
    ]);
  });
});
