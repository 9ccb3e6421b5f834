import { beforeEach, describe, expect, it } from 'vitest';
import type { FaultOrder } from '../../drivers/sim/faults.ts';
import { diskSpec, nicSpec, rejection } from './samples.ts';
import { type SimNode, simNode } from './sim-node.ts';

describe('a fault that was ordered', () => {
  let node: SimNode;
  beforeEach(() => {
    node = simNode();
  });
  const order = (fault: Omit<FaultOrder, 'port' | 'method'> & Partial<FaultOrder>) =>
    node.world.faults.order({ port: 'snic', method: '*', ...fault });
  const ensure = () => node.run(node.world.snic.ensureFunction(nicSpec()));
  const count = async () => (await node.run(node.world.snic.listFunctions())).length;

  it('slow: adds its time to the latency, and ends when aborted', async () => {
    order({ kind: 'slow', ms: 1000, method: 'ensureFunction' });
    const started = node.clock.monotonicMs();
    await ensure();
    expect(node.clock.monotonicMs() - started).toBe(1005);

    const abort = new AbortController();
    const slow = node.world.snic.ensureFunction(diskSpec(), abort.signal);
    const rejected = expect(slow).rejects.toThrow('enough');
    abort.abort(new Error('enough'));
    await rejected;
    await node.clock.runUntilIdle();
    expect(await count()).toBe(1);
  });

  it('hang: neither answers nor acts until aborted', async () => {
    order({ kind: 'hang', times: 1 });
    const abort = new AbortController();
    const hung = node.world.snic.ensureFunction(nicSpec(), abort.signal);
    const rejected = expect(hung).rejects.toThrow('enough');
    await node.clock.advance(3_600_000);
    expect(node.clock.pending).toBe(0);
    abort.abort(new Error('enough'));
    await rejected;
    expect(await count()).toBe(0);
  });

  it('fail-once, fail n times, with a code: no effect, then as ever', async () => {
    order({ kind: 'fail-once', code: 'hardware', method: 'ensureFunction' });
    order({ kind: 'fail', times: 2, method: 'ensureFunction' });
    await rejection(ensure(), 'hardware');
    expect(await count()).toBe(0);
    await rejection(ensure(), 'unavailable');
    await rejection(ensure(), 'unavailable');
    await ensure();
    expect(node.world.faults.pending()).toEqual([]);
  });

  it('fail-always: until it is taken back', async () => {
    const takeBack = order({ kind: 'fail-always' });
    for (let time = 0; time < 5; time += 1) await rejection(ensure(), 'unavailable');
    takeBack();
    await ensure();
  });

  it('skip and match: only the call that is meant', async () => {
    order({ kind: 'fail-once', match: diskSpec().id, skip: 1 });
    await ensure();
    await node.run(node.world.snic.ensureFunction(diskSpec()));
    await rejection(node.run(node.world.snic.ensureFunction(diskSpec())), 'unavailable');
  });

  it('an order that waits lets one behind it strike', async () => {
    order({ kind: 'fail-once', code: 'hardware', skip: 1 });
    order({ kind: 'fail-once', code: 'busy' });
    await rejection(ensure(), 'busy');
    await rejection(ensure(), 'hardware');
    await ensure();
  });

  it('lost-answer: the effect is there, and asking again finds it', async () => {
    order({ kind: 'lost-answer', method: 'ensureFunction' });
    await rejection(ensure(), 'timeout');
    expect(await count()).toBe(1);
    await ensure();
    expect(await count()).toBe(1);
  });

  it('not-enumerated: later, or never until taken back', async () => {
    await node.prepare();
    order({ kind: 'not-enumerated', match: node.disk, ms: 500 });
    const takeBack = order({ kind: 'not-enumerated', match: node.nic });
    await node.run(node.world.power.powerOn());
    const bdfs = async () =>
      Object.fromEntries((await node.run(node.world.snic.listFunctions())).map((each) => [each.id, each.bdfState]));
    expect(await bdfs()).toEqual({ [node.disk]: 'pending', [node.nic]: 'pending' });
    await node.clock.advance(500);
    expect(await bdfs()).toEqual({ [node.disk]: 'assigned', [node.nic]: 'pending' });
    await node.clock.advance(3_600_000);
    expect(await bdfs()).toEqual({ [node.disk]: 'assigned', [node.nic]: 'pending' });
    takeBack();
    expect(await bdfs()).toEqual({ [node.disk]: 'assigned', [node.nic]: 'assigned' });
  });

  it('bdf-changes: the next enumeration says so', async () => {
    await node.prepare();
    await node.run(node.world.power.powerOn());
    const nic = async () => (await node.run(node.world.snic.listFunctions())).find((each) => each.id === node.nic);
    const before = await nic();
    await node.run(node.world.snic.unplugFunction(node.nic, { deadlineMs: 1000 }));
    order({ kind: 'bdf-changes' });
    await node.run(node.world.snic.plugFunction(node.nic));
    await node.clock.advance(20);
    const after = await nic();
    expect(after?.bdfState).toBe('changed');
    expect(after?.bdf).not.toBe(before?.bdf);
  });

  it('not-released: busy after the deadline, at once once the host is off', async () => {
    await node.prepare();
    await node.run(node.world.power.powerOn());
    order({ kind: 'not-released' });
    const started = node.clock.monotonicMs();
    await rejection(node.run(node.world.snic.unplugFunction(node.nic, { deadlineMs: 700 })), 'busy');
    expect(node.clock.monotonicMs() - started).toBe(705);
    await node.run(node.world.power.powerOff('hard', 0));
    await node.run(node.world.snic.unplugFunction(node.nic, { deadlineMs: 700 }));
  });

  it('ignores-soft-off: slower than it is given, or never', async () => {
    await node.run(node.world.power.powerOn());
    order({ kind: 'ignores-soft-off', port: 'power', ms: 5000, times: 1 });
    await rejection(node.run(node.world.power.powerOff('soft', 1000)), 'timeout');
    expect(await node.run(node.world.power.getPower())).toBe('on');
    await node.clock.advance(5000);
    expect(await node.run(node.world.power.getPower())).toBe('off');
    await node.run(node.world.power.powerOn());
    order({ kind: 'ignores-soft-off', port: 'power' });
    await rejection(node.run(node.world.power.powerOff('soft', 1000)), 'timeout');
    await node.clock.advance(3_600_000);
    expect(await node.run(node.world.power.getPower())).toBe('on');
  });

  it('a power on during a shutdown ends with a host that stays on', async () => {
    await node.run(node.world.power.powerOn());
    order({ kind: 'ignores-soft-off', port: 'power', ms: 5000, times: 1 });
    await rejection(node.run(node.world.power.powerOff('soft', 1000)), 'timeout');
    await node.run(node.world.power.powerOn());
    await node.clock.advance(10_000);
    expect(await node.run(node.world.power.getPower())).toBe('on');
    expect(node.world.host.row().boots).toBe(2);
  });

  it('unhealthy: the port is there and no traffic passes', async () => {
    order({ kind: 'unhealthy', port: 'ovs' });
    await node.bind();
    expect((await node.run(node.world.network.list())).map((each) => each.healthy)).toEqual([false]);
  });
});

describe('a peer that is restarted', () => {
  it('fails the calls in flight, and says that it is back', async () => {
    const { world, clock } = simNode();
    const told: string[] = [];
    const stopListening = world.onPeerRestart((peer) => told.push(peer));
    const rejected = rejection(world.snic.ensureFunction(nicSpec()), 'unavailable');
    world.restartPeer('snic');
    await rejected;
    await clock.runUntilIdle();
    expect(world.state.functions.size).toBe(0);
    stopListening();
    world.restartPeer('bmc');
    expect(told).toEqual(['snic']);
  });

  it('is away until it is started again', async () => {
    const { world, run } = simNode();
    const told: string[] = [];
    world.onPeerRestart((peer) => told.push(peer));
    const start = world.stopPeer('storage');
    await rejection(run(world.storage.list()), 'unavailable');
    await run(world.network.list());
    start();
    expect(told).toEqual(['storage']);
    expect(await run(world.storage.list())).toEqual([]);
  });

  it('storage forgets what it served, the switch its ports only if told so, neither what is foreign', async () => {
    const node = simNode();
    const { world, run } = node;
    await node.prepare();
    world.plantForeign({ kind: 'port', portId: 'p' as never, representor: 'p0' });
    world.plantForeign({ kind: 'attachment', functionId: 'f' as never, volumeId: 'v' as never });
    world.restartPeer('storage');
    world.restartPeer('ovs');
    expect((await run(world.storage.list())).map((each) => each.mark)).toEqual([null]);
    expect(await run(world.network.list())).toHaveLength(2);
    world.restartPeer('ovs', { losePorts: true });
    expect((await run(world.network.list())).map((each) => each.mark)).toEqual([null]);
    world.restartPeer('snic');
    expect(await run(world.snic.listFunctions())).toHaveLength(2);
  });
});

describe('a daemon that is killed', () => {
  it('has no later effect, gets no answer, and the next one finds the world as it was', async () => {
    const { world, clock, run } = simNode();
    const first = world.connect();
    await run(first.snic.ensureFunction(nicSpec()));
    let answered = false;
    const settle = (): void => {
      answered = true;
    };
    first.snic.ensureFunction(diskSpec()).then(settle, settle);
    first.drop();
    first.snic.releaseFunction(nicSpec().id).then(settle, settle);
    await clock.runUntilIdle();
    expect(answered).toBe(false);
    const second = world.connect();
    expect((await run(second.snic.listFunctions())).map((each) => each.id)).toEqual([nicSpec().id]);
  });

  it('is killed by hooks before or after an effect, and not by a read', async () => {
    const { world, clock, run } = simNode();
    const seen: string[] = [];
    world.hooks.beforeEffect = (port, method) => {
      seen.push(`before ${port} ${method} ${world.state.functions.size}`);
    };
    world.hooks.afterEffect = (port, method) => {
      seen.push(`after ${port} ${method} ${world.state.functions.size}`);
    };
    await run(world.snic.ensureFunction(nicSpec()));
    await run(world.snic.listFunctions());
    expect(seen).toEqual(['before snic ensureFunction 0', 'after snic ensureFunction 1']);

    const doomed = world.connect();
    world.hooks.beforeEffect = () => doomed.drop();
    let answered = false;
    const settle = (): void => {
      answered = true;
    };
    doomed.snic.ensureFunction(diskSpec()).then(settle, settle);
    await clock.runUntilIdle();
    expect([answered, world.state.functions.size]).toEqual([false, 1]);
  });
});
