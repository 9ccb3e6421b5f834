import { beforeEach, describe, expect, it } from 'vitest';
import type { FunctionId, InstanceId, PortId, VolumeId } from '../../core/units.ts';
import { checkOwners, checkWorld, foreignFingerprint } from '../../drivers/sim/invariants.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { instance, node as nodeId, otherInstance, portId, rejection, volumeId } from './samples.ts';
import { type SimNode, simNode } from './sim-node.ts';

const unplug = { deadlineMs: 1000 };

describe('the audit of the world', () => {
  let node: SimNode;
  beforeEach(() => {
    node = simNode();
  });
  const rules = () => checkWorld(node.world).map((each) => each.rule);
  const on = async () => {
    await node.prepare();
    await node.run(node.world.power.powerOn());
    expect(rules()).toEqual([]);
  };

  it('says nothing of what is done in order, twice or with the host on', async () => {
    await on();
    await node.bind();
    await node.attach();
    await node.plug();
    await node.run(node.world.snic.unplugFunction(node.nic, unplug));
    await node.run(node.world.network.unbind(portId));
    await node.run(node.world.snic.releaseFunction(node.nic));
    await node.bind();
    await node.run(node.world.snic.plugFunction(node.nic));
    expect(rules()).toEqual([]);
  });

  it('records what is taken from beneath a running host', async () => {
    await on();
    await node.run(node.world.network.unbind(portId));
    await node.run(node.world.storage.detach(node.disk));
    expect(rules()).toEqual(['unbound-while-host-on', 'detached-while-host-on']);
  });

  it('records what is put beneath a function that a running host sees', async () => {
    await on();
    await node.run(node.world.network.unbind(portId));
    await node.run(node.world.storage.detach(node.disk));
    node.world.clearViolations();
    await node.bind();
    await node.attach();
    expect(rules()).toEqual(['bound-while-host-on', 'attached-while-host-on']);
  });

  it('records an export that ends while its disk is in use', async () => {
    await on();
    await node.run(node.world.volumes.disconnect(volumeId, instance));
    expect(rules()).toEqual(['disconnected-while-host-on', 'attachment-without-export']);
  });

  it('records a function that a host is shown with nothing behind it', async () => {
    await node.bind();
    await node.attach();
    await node.run(node.world.storage.detach(node.disk));
    await node.plug();
    expect(rules()).toEqual([]);
    await node.run(node.world.power.powerOn());
    expect(rules()).toEqual(['powered-on-unserved']);
    node.world.clearViolations();
    await node.run(node.world.snic.unplugFunction(node.disk, unplug));
    await node.run(node.world.snic.plugFunction(node.disk));
    expect(rules()).toEqual(['shown-unserved']);
  });

  it('records the release of what is plugged', async () => {
    await node.prepare();
    await rejection(node.run(node.world.snic.releaseFunction(node.nic)), 'bad_state');
    expect(rules()).toEqual(['released-while-plugged']);
  });

  it('lets exactly what a restart lost be made again while the host is on', async () => {
    await on();
    node.world.restartPeer('storage');
    node.world.restartPeer('ovs', { losePorts: true });
    await node.bind();
    await node.attach();
    expect(rules()).toEqual([]);
    await node.run(node.world.storage.detach(node.disk));
    expect(rules()).toEqual(['detached-while-host-on']);
  });

  it('keeps its records over a reopened world', async () => {
    const store = memoryWorldStore();
    node = simNode({ store });
    await on();
    await node.run(node.world.network.unbind(portId));
    expect(checkWorld(simNode({ store }).world)).toEqual(checkWorld(node.world));
    expect(rules()).toHaveLength(1);
  });

  it('finds bindings and attachments whose function is gone', async () => {
    await node.bind();
    await node.attach();
    await node.run(node.world.snic.releaseFunction(node.nic));
    await node.run(node.world.snic.releaseFunction(node.disk));
    expect(rules()).toEqual(['port-without-function', 'attachment-without-function']);
  });

  it('finds what has two owners', async () => {
    await node.prepare();
    const { state } = node.world;
    const [disk, nic] = [state.functions.get(node.disk), state.functions.get(node.nic)];
    const [port, attachment] = [state.ports.get(portId), state.attachments.get(node.disk)];
    if (!disk || !nic || !port || !attachment) throw new Error('not prepared');
    state.functions.set('double', { ...disk, id: 'double' as FunctionId });
    state.ports.set('double', { ...port, portId: 'double' as PortId });
    state.attachments.set('double', { ...attachment, functionId: 'double' as FunctionId });
    state.exports.set('double', { ...state.exports.rows()[0], volumeId, instance: otherInstance } as never);
    expect(rules()).toEqual([
      'function-in-two-ports',
      'representor-in-two-ports',
      'bdev-twice',
      'volume-with-two-writers',
      'volume-exported-to-two-writers',
      'two-functions-for-one-purpose',
      'slot-twice',
    ]);
  });

  it('finds what belongs to another instance than its function', async () => {
    await node.prepare();
    const { state } = node.world;
    const disk = state.functions.get(node.disk);
    const nic = state.functions.get(node.nic);
    if (!disk?.mark || !nic?.mark) throw new Error('not prepared');
    state.functions.set(node.disk, { ...disk, mark: { ...disk.mark, instance: otherInstance } });
    state.functions.set(node.nic, { ...nic, mark: { ...nic.mark, instance: otherInstance } });
    expect(rules()).toEqual(['port-of-two-instances', 'attachment-of-two-instances']);
    state.functions.set(node.nic, { ...nic, slot: 7 });
    expect(rules()).toContain('port-of-another-function');
  });

  it('lists what is left of instances that nobody knows', async () => {
    await node.prepare();
    expect(checkOwners(node.world, new Set([instance]))).toEqual([]);
    expect(checkOwners(node.world, new Set()).map((each) => each.rule)).toEqual([
      'function-without-owner',
      'function-without-owner',
      'port-without-owner',
      'attachment-without-owner',
      'export-without-owner',
    ]);
  });

  it('finds foreign things touched or gone, not those that the host enumerated', async () => {
    const theirs = 'theirs' as VolumeId;
    const { world } = node;
    world.plantForeign({ kind: 'function', id: 'f' as FunctionId, class: 'nvme', plugged: true });
    world.plantForeign({ kind: 'port', portId: 'p' as PortId, representor: 'p0' });
    world.plantForeign({ kind: 'attachment', functionId: 'f' as FunctionId, volumeId: theirs });
    world.plantForeign({ kind: 'volume', id: theirs, sizeBytes: 1 });
    world.plantForeign({ kind: 'export', volumeId: theirs, node: nodeId, instance: 'elsewhere' as InstanceId });
    const before = foreignFingerprint(world.state);
    await on();
    expect(foreignFingerprint(world.state)).toBe(before);
    expect(checkOwners(world, new Set([instance]))).toEqual([]);
    await rejection(node.run(world.network.unbind('p' as PortId)), 'denied');
    expect(rules()).toEqual(['foreign-touched']);
    world.clearViolations();
    world.state.ports.delete('p');
    expect(rules()).toEqual(['foreign-changed']);
    expect(foreignFingerprint(world.state)).not.toBe(before);
  });
});
