/** Open vSwitch dies, comes back, is asked by two at once, or is another's in part. Needs no rights: the datapath is a dummy. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { hasCode } from '../../core/errors.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { BindSpec } from '../../core/ports/network-binder.ts';
import { asId, type Mac, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import type { Representor } from '../../drivers/network/representors.ts';
import type { SwitchOptions } from '../../drivers/network/switch.ts';
import { systemClock } from '../../kit/clock.ts';
import { haveOvs, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';
import { instance, markOf, node, otherInstance, rejection } from './samples.ts';

function portOf(index: number): PortId {
  return asId<PortId>(`${String(index).padStart(8, '0')}-4444-4444-8444-444444444444`);
}

function specOf(index: number): BindSpec {
  const portId = portOf(index);
  return {
    portId,
    functionId: nicFunctionId(instance, portId),
    representor: `pf0vf${index}`,
    mac: `02:00:00:00:00:${(index + 16).toString(16)}` as Mac,
    mark: { ...markOf('nic', portId), port: { subnet: 'net1', ips: [`10.0.0.${index + 2}`] } },
  };
}

describe.runIf(haveOvs('faults of Open vSwitch'))('Open vSwitch', () => {
  let ovs: TestSwitch;
  let network: OvsNetwork;
  const opened: OvsNetwork[] = [];

  function open(options: Partial<SwitchOptions> = {}): OvsNetwork {
    const one = createOvsNetworkBinder({
      ovsdb: ovs.ovsdb,
      bridge: ovs.bridge,
      node,
      flows: 'ours',
      connectTimeoutMs: 2000,
      bindTimeoutMs: 2000,
      clock: systemClock,
      log: silentLog,
      ...options,
    });
    opened.push(one);
    return one;
  }
  const listed = async (of = network): Promise<readonly string[]> =>
    (await of.list()).filter((each) => each.healthy).map((each) => each.portId);
  const healed = (ids: readonly string[]): Promise<unknown> =>
    until('the ports are back', async () => {
      const now = await listed().catch((): readonly string[] => []);
      return ids.every((id) => now.includes(id));
    });

  beforeAll(async () => {
    ovs = await startSwitch({ datapath: 'dummy' });
  });
  afterAll(() => ovs.stop());
  beforeEach(() => {
    network = open();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
    const names = (await ovs.vsctl('list-ports', ovs.bridge)).split('\n').filter(Boolean);
    for (const name of names) await ovs.vsctl('del-port', ovs.bridge, name);
  });

  it('has the identity that controllers work from, and the whole mark', async () => {
    const spec = specOf(1);
    await network.bind(spec);
    const ids = await ovs.vsctl('get', 'interface', spec.representor, 'external_ids');
    for (const part of [
      `iface-id="${spec.portId}"`,
      `attached-mac="${spec.mac}"`,
      'iface-status=active',
      `vm-uuid="${instance}"`,
      `dpu-function=${spec.functionId}`,
      `dpu-owner="${node}"`,
    ]) {
      expect(ids).toContain(part);
    }
    const text = await ovs.vsctl('get', 'interface', spec.representor, 'external_ids:dpu-mark');
    expect(JSON.parse(JSON.parse(text) as string)).toEqual(spec.mark);
  });

  it('takes a port of ours whose mark is damaged away, and never one of another node', async () => {
    await network.bind(specOf(1));
    await network.bind(specOf(2));
    await ovs.vsctl('set', 'interface', 'pf0vf1', 'external_ids:dpu-mark={broken');
    await ovs.vsctl('set', 'interface', 'pf0vf2', `external_ids:dpu-owner=${otherInstance}`);
    const found = await until('both changes', async () => {
      const marks = new Map((await network.list()).map((each) => [each.portId, each.mark]));
      return marks.get(portOf(2)) === null ? marks : false;
    });
    expect(found.get(portOf(1))).toMatchObject({ node, instance, key: portOf(1) });
    await network.unbind(portOf(1));
    await rejection(network.unbind(portOf(2)), 'denied');
    await rejection(network.bind(specOf(2)), 'conflict');
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim()).toBe('pf0vf2');
  });

  it('makes one port for two binds at once, by one client or by two', async () => {
    const other = open();
    const both = await Promise.all([network.bind(specOf(1)), network.bind(specOf(1))]);
    expect(both[0]).toEqual(both[1]);
    const raced = await Promise.allSettled([network.bind(specOf(2)), other.bind(specOf(2))]);
    const lost = raced.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    expect(lost.every((error) => hasCode(error, 'conflict'))).toBe(true);
    expect(lost.length).toBeLessThan(2);
    expect(await other.bind(specOf(2))).toMatchObject({ portId: portOf(2), healthy: true });
    expect(await listed()).toHaveLength(2);
  });

  it('binds and unbinds a hundred at once, each with its own number', async () => {
    const specs = Array.from({ length: 100 }, (_, index) => specOf(index));
    await Promise.all(specs.map((each) => network.bind(each)));
    expect(await listed()).toHaveLength(100);
    const slots = (
      await ovs.vsctl('--bare', '--columns=external_ids', 'find', 'interface', 'external_ids:dpu-slot!=x')
    ).match(/dpu-slot=\d+/g);
    expect(new Set(slots).size).toBe(100);
    await Promise.all(specs.map((each) => network.unbind(each.portId)));
    expect(await network.list()).toEqual([]);
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim()).toBe('');
  }, 60_000);

  it.each(['vswitchd', 'ovsdb'] as const)('goes on after %s was killed in the middle of binding', async (part) => {
    await network.bind(specOf(1));
    const restarts: true[] = [];
    network.onRestart(() => void restarts.push(true));
    ovs.signal(part, 'SIGSTOP');
    const binding = network.bind(specOf(2)).catch((error: unknown) => error);
    await ovs.kill(part);
    const first = await binding;
    expect(hasCode(first, 'unavailable') || hasCode(first, 'timeout')).toBe(true);
    await ovs.start(part);
    const bound = await until('bound again', () => network.bind(specOf(2)).catch(() => undefined));
    expect(bound).toMatchObject({ portId: portOf(2), healthy: true });
    await healed([portOf(1), portOf(2)]);
    expect(restarts.length).toBeGreaterThan(0);
    expect(await ovs.ofctl('dump-flows')).toContain('NORMAL');
  });

  it.each(['vswitchd', 'ovsdb'] as const)('goes on after %s was killed in the middle of unbinding', async (part) => {
    await network.bind(specOf(1));
    ovs.signal(part, 'SIGSTOP');
    const unbinding = network.unbind(portOf(1)).catch((error: unknown) => error);
    await ovs.kill(part);
    const ended = await unbinding;
    expect(ended === undefined || hasCode(ended, 'unavailable')).toBe(true);
    await ovs.start(part);
    await until('unbound', async () =>
      network.unbind(portOf(1)).then(
        () => true,
        () => undefined,
      ),
    );
    await until('nothing left', async () => (await network.list().catch(() => [1])).length === 0);
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim()).toBe('');
  });

  it('is unavailable while ovs-vswitchd is away, and can let go of ports all the same', async () => {
    await network.bind(specOf(1));
    await ovs.kill('vswitchd');
    await until('its end is seen', () =>
      rejection(network.list(), 'unavailable').then(
        () => true,
        () => undefined,
      ),
    );
    await rejection(network.bind(specOf(2)), 'unavailable');
    await network.unbind(portOf(1));
    await ovs.start('vswitchd');
    await until('it is back', () =>
      network.list().then(
        (ports) => ports.length === 0,
        () => undefined,
      ),
    );
  });

  it('notices an ovs-vswitchd that hangs, and one that goes on, in an older OpenFlow too', async () => {
    await ovs.vsctl('set', 'bridge', ovs.bridge, 'protocols=OpenFlow10,OpenFlow14');
    const probing = open({ probeMs: 50 });
    await until('it is there', () =>
      probing.list().then(
        () => true,
        () => undefined,
      ),
    );
    ovs.signal('vswitchd', 'SIGSTOP');
    await until('it hangs', () => rejection(probing.list(), 'unavailable').catch(() => undefined));
    ovs.signal('vswitchd', 'SIGCONT');
    await until('it goes on', () => probing.list().catch(() => undefined));
  });

  it('is unavailable without its bridge, and goes on with a new one', async () => {
    await network.bind(specOf(1));
    await ovs.vsctl('del-br', ovs.bridge);
    await rejection(network.list(), 'unavailable');
    await rejection(network.bind(specOf(1)), 'unavailable');
    await ovs.vsctl('add-br', ovs.bridge, '--', 'set', 'bridge', ovs.bridge, 'datapath_type=dummy');
    await until('bound in the new bridge', () => network.bind(specOf(1)).catch(() => undefined));
    await healed([portOf(1)]);
  });

  it('waits for ovn-controller where it is told to', async () => {
    const waiting = open({ waitOvnInstalled: true, flows: 'controller', bindTimeoutMs: 20_000 });
    const binding = waiting.bind(specOf(1));
    await until('the port', async () => (await ovs.vsctl('list-ports', ovs.bridge)).includes('pf0vf1'));
    expect((await waiting.list())[0]).toMatchObject({ portId: portOf(1), healthy: false });
    await ovs.vsctl('set', 'interface', 'pf0vf1', 'external_ids:ovn-installed=true');
    expect(await binding).toMatchObject({ healthy: true });
    const hasty = open({ waitOvnInstalled: true, flows: 'controller', bindTimeoutMs: 50 });
    await rejection(hasty.bind(specOf(2)), 'timeout');
    expect(await hasty.bind(specOf(2), undefined, { traffic: false })).toMatchObject({ healthy: false });
  });

  it("writes no flow and refuses limits and rules where the flows are another's", async () => {
    await network.close();
    await ovs.vsctl('del-br', ovs.bridge, '--', 'add-br', ovs.bridge);
    await ovs.vsctl('set', 'bridge', ovs.bridge, 'datapath_type=dummy');
    const guest = open({ flows: 'controller' });
    await ovs.ofctl('add-flow', 'table=0,priority=7,cookie=0x77,actions=drop');
    await guest.bind(specOf(1));
    const limits = { bitsPerSecond: 1e6, packetsPerSecond: 0, direction: 'both' } as const;
    await rejection(guest.setQos(portOf(1), limits), 'unsupported');
    await rejection(guest.setRules(portOf(1), []), 'unsupported');
    await guest.unbind(portOf(1));
    const flows = (await ovs.ofctl('dump-flows')).split('\n').filter((line) => line.includes('cookie='));
    expect(flows).toHaveLength(2); // theirs, and the NORMAL of every new bridge
    expect(await ovs.ofctl('dump-meters')).not.toContain('meter=');
  });

  it('puts flows back that another took away, when the switch was restarted', async () => {
    await network.bind(specOf(1));
    await network.setQos(portOf(1), { bitsPerSecond: 2e6, packetsPerSecond: 100, direction: 'both' });
    const before = (await ovs.ofctl('dump-meters')).match(/meter=\d+/g)?.sort();
    expect(before).toHaveLength(4);
    await ovs.kill('vswitchd');
    await ovs.start('vswitchd');
    await healed([portOf(1)]);
    expect((await ovs.ofctl('dump-meters')).match(/meter=\d+/g)?.sort()).toEqual(before);
  });

  it('follows a representor that was renamed, with its limits', async () => {
    await network.close(); // flows are one daemon's
    const identity = { switchId: 'aa', controller: 1, flavour: 'pcivf', pfnum: 0, vfnum: 1, sfnum: null };
    let all: readonly Representor[] = [{ netdev: 'pf0vf1', identity }];
    const finding = open({ representors: { list: async () => all } });
    await finding.bind(specOf(1));
    const limits = { bitsPerSecond: 1e6, packetsPerSecond: 0, direction: 'both' } as const;
    await finding.setQos(portOf(1), limits);
    all = [
      { netdev: 'pf0vf1', identity: { ...identity, vfnum: 5 } },
      { netdev: 'enp3s0f0npf0vf1', identity: { ...identity, vfnum: 6 } },
      { netdev: 'en3f0c1pf0vf1', identity },
    ];
    expect(await finding.bind(specOf(1))).toMatchObject({ representor: 'pf0vf1', qos: limits, healthy: true });
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim()).toBe('en3f0c1pf0vf1');
    // by the kernel's own name of the port, where the card's name is not a netdev
    expect(await finding.bind({ ...specOf(2), representor: 'c1pf0vf6' })).toMatchObject({ healthy: true });
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim().split('\n')).toContain('enp3s0f0npf0vf1');
    await rejection(finding.bind(specOf(3)), 'not_found');
  });

  it('refuses rules that no flow can be made of, and ports that are not there', async () => {
    await network.bind(specOf(1));
    const bad = { direction: 'ingress', protocol: 'icmp', ports: { first: 1, last: 2 } } as const;
    expect((await rejection(network.setRules(portOf(1), [bad]), 'invalid')).field).toBe('rules[0].ports');
    await rejection(network.setRules(portOf(2), []), 'not_found');
    const limits = { bitsPerSecond: 1e6, packetsPerSecond: 0, direction: 'both' } as const;
    await rejection(network.setQos(portOf(2), limits), 'not_found');
  });

  it('says that an address is none', () => {
    expect(() => open({ ovsdb: 'nonsense' })).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(() => open({ ovsdb: 'tcp:127.0.0.1:1' })).toThrow(expect.objectContaining({ field: 'network.run_dir' }));
  });

  it('is unavailable when nothing was ever there', async () => {
    const lost = open({ ovsdb: `unix:${ovs.dir}/nothing.sock`, connectTimeoutMs: 100 });
    await rejection(lost.list(), 'unavailable');
    await rejection(lost.bind(specOf(1)), 'unavailable');
  });

  it('makes tunnels, makes them anew when they changed, and leaves other ports alone', async () => {
    const vxlan = { name: 'tun0', kind: 'vxlan', remote: '192.0.2.1', key: 5 } as const;
    const geneve = { name: 'tun1', kind: 'geneve', remote: '192.0.2.2', key: 6, checksum: true } as const;
    await network.tunnels.replace([vxlan, geneve]);
    expect((await network.tunnels.list()).map(({ healthy: _, ...each }) => each)).toEqual(
      expect.arrayContaining([vxlan, geneve]),
    );
    expect(await network.list()).toEqual([]);
    await network.tunnels.ensure({ ...vxlan, key: 7 });
    expect((await ovs.vsctl('get', 'interface', 'tun0', 'options:key')).trim()).toBe('"7"');
    await network.bind(specOf(1));
    await rejection(network.tunnels.ensure({ ...vxlan, name: 'pf0vf1' }), 'conflict');
    await rejection(network.tunnels.remove('pf0vf1'), 'denied');
    await network.tunnels.replace([geneve]);
    expect((await ovs.vsctl('list-ports', ovs.bridge)).trim().split('\n').sort()).toEqual(['pf0vf1', 'tun1']);
  });
});
