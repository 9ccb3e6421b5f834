/** What ports of a bridge let pass, measured between namespaces that stand for hosts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { BindSpec } from '../../core/ports/network-binder.ts';
import { asId, type Mac, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import { systemClock } from '../../kit/clock.ts';
import { instance, markOf, node } from '../contract/samples.ts';
import { addCable, addNamespace, ask, startPeer, type TestNamespace } from '../support/netns.ts';
import { haveNamespaces, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';

const macs = ['02:00:00:00:00:11', '02:00:00:00:00:12'] as const;
const addresses = ['10.9.0.11', '10.9.0.12'] as const;
/** Ethernet, IPv4 and UDP headers: a meter counts whole frames. */
const headerBytes = 42;

function portOf(index: 0 | 1): PortId {
  return asId<PortId>(`4444444${index}-4444-4444-8444-444444444444`);
}

function specOf(index: 0 | 1, subnet = 'plain'): BindSpec {
  const portId = portOf(index);
  return {
    portId,
    functionId: nicFunctionId(instance, portId),
    representor: `pf${index}rep0`,
    mac: macs[index] as Mac,
    mark: { ...markOf('nic', portId), port: { subnet, ips: [addresses[index]] } },
  };
}

/**
 * What was set, and neither twice that (which is sent) nor half of it. An idle machine keeps to a tenth; on one that has more to do the sender pauses,
 * and what could have passed meanwhile is lost, and the switch is late with what it was sent.
 */
function expectWhole(share: number): void {
  expect(share).toBeGreaterThan(0.6);
  expect(share).toBeLessThan(1.3);
}

describe.runIf(haveNamespaces('traffic through Open vSwitch'))('traffic through a bridge whose flows are ours', () => {
  let soc: TestNamespace;
  let hosts: readonly [TestNamespace, TestNamespace];
  let ovs: TestSwitch;
  let network: OvsNetwork;

  const open = (antiSpoof = false): OvsNetwork =>
    createOvsNetworkBinder({
      ovsdb: ovs.ovsdb,
      bridge: ovs.bridge,
      node,
      flows: 'ours',
      antiSpoof,
      segments: { red: { vlan: 100, mtu: 1400 }, blue: { vlan: 200 }, trunk: { trunks: [100, 300] } },
      clock: systemClock,
      log: silentLog,
    });
  const reaches = (from: 0 | 1, to: string): Promise<boolean> =>
    hosts[from].exec('ping', '-c', '1', '-w', '3', to).then(
      () => true,
      () => false,
    );

  /** Sends twice what may pass and answers what arrived, as a share of what should. */
  async function share(
    from: 0 | 1,
    limit: { readonly bitsPerSecond: number; readonly packetsPerSecond: number },
  ): Promise<number> {
    const bytes = limit.bitsPerSecond === 0 ? 64 : 1200;
    const perSecond = limit.packetsPerSecond || limit.bitsPerSecond / ((bytes + headerBytes) * 8);
    const sink = await startPeer(hosts[1 - from] as TestNamespace, 'sink', 5001);
    const { ms } = await ask(hosts[from], 'send', addresses[(1 - from) as 0 | 1], 5001, perSecond * 2, bytes, 2500);
    const { packets = 0 } = await sink.end();
    // what may pass at once is a tenth of a second's worth
    return packets / (perSecond * (Number(ms) / 1000 + 0.1));
  }

  beforeAll(async () => {
    soc = await addNamespace();
    hosts = [await addNamespace(), await addNamespace()];
    for (const index of [0, 1] as const) {
      const address = `${addresses[index]}/24`;
      await addCable(
        { at: soc, name: `pf${index}rep0` },
        { at: hosts[index], name: 'eth0', mac: macs[index], address },
      );
    }
    ovs = await startSwitch({ datapath: 'netdev', netns: soc.name });
  });
  afterAll(async () => {
    await ovs.stop();
    for (const each of [soc, ...hosts]) await each.remove();
  });
  beforeEach(() => {
    network = open();
  });
  afterEach(async () => {
    for (const index of [0, 1] as const) await network.unbind(portOf(index));
    await network.close();
  });

  it('passes between two ports, and not to one that was unbound', async () => {
    await network.bind(specOf(0));
    await network.bind(specOf(1));
    expect(await reaches(0, addresses[1])).toBe(true);
    await network.unbind(portOf(1));
    expect(await reaches(0, addresses[1])).toBe(false);
  });

  it('keeps to limits in bits and packets, each way, also after ovs-vswitchd was killed', async () => {
    await network.bind(specOf(0));
    await network.bind(specOf(1));
    await reaches(0, addresses[1]);
    const bits = { bitsPerSecond: 5_000_000, packetsPerSecond: 0 };
    const packets = { bitsPerSecond: 0, packetsPerSecond: 500 };
    await network.setQos(portOf(0), { ...bits, direction: 'egress' });
    expectWhole(await share(0, bits));
    await network.setQos(portOf(0), { ...bits, direction: 'ingress' });
    expectWhole(await share(1, bits));
    await network.setQos(portOf(0), { ...packets, direction: 'both' });
    expectWhole(await share(0, packets));
    await ovs.kill('vswitchd');
    await ovs.start('vswitchd');
    await until('ports with their flows', async () => {
      const ports = await network.list().catch(() => []);
      return ports.length === 2 && ports.every((each) => each.healthy);
    });
    expectWhole(await share(1, packets));
    await network.setQos(portOf(0), { bitsPerSecond: 0, packetsPerSecond: 0, direction: 'both' });
    expect(await share(0, packets)).toBeGreaterThan(1.4);
    expect(await ovs.ofctl('dump-meters')).not.toContain('meter=');
  }, 60_000);

  it('lets new connections pass by the rules only, and answers by their state', async () => {
    await network.bind(specOf(0));
    await network.bind(specOf(1));
    const servers = [
      await startPeer(hosts[1], 'echo', 80),
      await startPeer(hosts[1], 'echo', 8080),
      await startPeer(hosts[0], 'echo', 80),
    ];
    try {
      await network.setRules(portOf(1), [
        { direction: 'ingress', protocol: 'tcp', ports: { first: 70, last: 90 }, remote: '10.9.0.0/24' },
      ]);
      expect(await ask(hosts[0], 'probe', addresses[1], 80, 10_000)).toEqual({ open: true });
      expect(await ask(hosts[0], 'probe', addresses[1], 8080, 700)).toEqual({ open: false });
      expect(await ask(hosts[1], 'probe', addresses[0], 80, 10_000)).toEqual({ open: true });
      expect(await reaches(0, addresses[1])).toBe(false);
      await network.setRules(portOf(1), [{ direction: 'ingress', protocol: 'icmp' }]);
      expect(await reaches(0, addresses[1])).toBe(true);
      expect(await ask(hosts[0], 'probe', addresses[1], 80, 700)).toEqual({ open: false });
      const tracked = await ovs.appctl('dpctl/dump-conntrack');
      expect(tracked).toMatch(/zone=3276[89]|zone=3277\d/);
      await network.setRules(portOf(1), null);
      expect(await ask(hosts[0], 'probe', addresses[1], 8080, 10_000)).toEqual({ open: true });
    } finally {
      for (const each of servers) await each.end();
    }
  });

  it('lets an instance send with its own addresses only', async () => {
    await network.close();
    network = open(true);
    await network.bind(specOf(0));
    await network.bind(specOf(1));
    expect(await reaches(0, addresses[1])).toBe(true);
    await hosts[0].ip('addr', 'add', '10.9.0.99/24', 'dev', 'eth0');
    await hosts[1].ip('neigh', 'replace', '10.9.0.99', 'lladdr', macs[0], 'dev', 'eth0');
    try {
      await expect(hosts[0].exec('ping', '-c', '1', '-W', '1', '-I', '10.9.0.99', addresses[1])).rejects.toThrow();
      await hosts[0].ip('link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
      expect(await reaches(0, addresses[1])).toBe(false);
    } finally {
      await hosts[0].ip('link', 'set', 'eth0', 'address', macs[0]);
      await hosts[0].ip('addr', 'del', '10.9.0.99/24', 'dev', 'eth0');
      await hosts[1].ip('neigh', 'flush', 'all');
      await hosts[0].ip('neigh', 'flush', 'all');
    }
  });

  it('keeps VLANs apart, carries those of a trunk, and sets the MTU', async () => {
    await network.bind(specOf(0, 'red'));
    await network.bind(specOf(1, 'blue'));
    expect(await reaches(0, addresses[1])).toBe(false);
    expect((await soc.ip('-o', 'link', 'show', 'pf0rep0')).includes('mtu 1400')).toBe(true);
    await network.unbind(portOf(1));
    await network.bind(specOf(1, 'trunk'));
    const frame = (vlan: number): string =>
      `in_port=pf1rep0,dl_vlan=${vlan},dl_src=${macs[1]},dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x0806`;
    // this kernel may know no VLAN devices: the switch is asked what it would do with a tagged frame
    expect(await ovs.appctl('ofproto/trace', ovs.bridge, frame(100))).toMatch(/Datapath actions:.*pop_vlan,\d/);
    expect(await ovs.appctl('ofproto/trace', ovs.bridge, frame(300))).not.toMatch(/Datapath actions:.*pop_vlan,\d/);
  });
});
