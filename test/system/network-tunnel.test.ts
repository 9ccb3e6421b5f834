/** Two nodes, each with a switch in a namespace of its own, and an instance on each: they meet through a tunnel. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type Mac, type NodeId, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import { systemClock } from '../../kit/clock.ts';
import { instance, markOf } from '../contract/samples.ts';
import { addCable, addNamespace, ask, startPeer, type TestNamespace } from '../support/netns.ts';
import { haveNamespaces, startSwitch, type TestSwitch } from '../support/ovs.ts';

interface Node {
  readonly soc: TestNamespace;
  readonly host: TestNamespace;
  readonly ovs: TestSwitch;
  readonly network: OvsNetwork;
  /** On the wire between the nodes. */
  readonly underlay: string;
  readonly mac: Mac;
  readonly address: string;
}

const wire = 'uplink';

/** A node with an instance that is bound. Tunnels of the userspace datapath need their address on a bridge of the same datapath. */
async function startNode(index: number, soc: TestNamespace): Promise<Node> {
  const host = await addNamespace();
  const mac = `02:00:00:00:01:0${index}` as Mac;
  const address = `10.8.0.${index}`;
  const underlay = `172.31.8.${index}`;
  await addCable({ at: soc, name: 'pf0rep0' }, { at: host, name: 'eth0', mac, address: `${address}/24` });
  const ovs = await startSwitch({ datapath: 'netdev', netns: soc.name });
  await ovs.vsctl('add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', 'datapath_type=netdev');
  await ovs.vsctl('add-port', 'br-phy', wire);
  await soc.ip('addr', 'add', `${underlay}/24`, 'dev', 'br-phy');
  await soc.ip('link', 'set', 'br-phy', 'up');
  const node = asId<NodeId>(`1111111${index}-1111-4111-8111-111111111111`);
  const network = createOvsNetworkBinder({
    ovsdb: ovs.ovsdb,
    bridge: ovs.bridge,
    node,
    flows: 'ours',
    clock: systemClock,
    log: silentLog,
  });
  const portId = asId<PortId>(`4444444${index}-4444-4444-8444-444444444444`);
  const functionId = nicFunctionId(instance, portId);
  const mark = { ...markOf('nic', portId), node };
  await network.bind({ portId, functionId, representor: 'pf0rep0', mac, mark });
  return { soc, host, ovs, network, underlay, mac, address };
}

describe.runIf(haveNamespaces('tunnels of Open vSwitch'))('a tunnel between two nodes', () => {
  const socs: TestNamespace[] = [];
  const nodes: Node[] = [];
  beforeAll(async () => {
    socs.push(await addNamespace(), await addNamespace());
    const [one, two] = socs;
    if (!one || !two) throw new Error('two namespaces are needed');
    await addCable({ at: one, name: wire }, { at: two, name: wire });
    await one.exec('ethtool', '-K', wire, 'tx', 'off');
    nodes.push(await startNode(1, one), await startNode(2, two));
  });
  afterAll(async () => {
    for (const { network, ovs, host } of nodes) {
      await network.close();
      await ovs.stop();
      await host.remove();
    }
    for (const each of socs) await each.remove();
  });

  it.each([
    ['vxlan', { checksum: false }],
    ['geneve', { checksum: true }],
  ] as const)('carries %s, of one network only', async (kind, options) => {
    const [one, two] = nodes;
    if (!one || !two) throw new Error('two nodes are needed');
    const tunnel = { name: `tun-${kind}`, kind, ...options };
    await one.network.tunnels.replace([{ ...tunnel, remote: two.underlay, key: 77 }]);
    await two.network.tunnels.replace([{ ...tunnel, remote: one.underlay, local: two.underlay, key: 77 }]);
    const server = await startPeer(two.host, 'echo', 80);
    try {
      expect(await ask(one.host, 'probe', two.address, 80, 10_000)).toEqual({ open: true });
      await two.network.tunnels.replace([{ ...tunnel, remote: one.underlay, key: 78 }]);
      expect(await ask(one.host, 'probe', two.address, 80, 700)).toEqual({ open: false });
      await two.network.tunnels.replace([{ ...tunnel, remote: one.underlay, key: 77 }]);
      expect(await ask(one.host, 'probe', two.address, 80, 10_000)).toEqual({ open: true });
      await two.network.tunnels.remove(tunnel.name);
      await two.network.tunnels.remove(tunnel.name);
      expect(await ask(one.host, 'probe', two.address, 80, 700)).toEqual({ open: false });
    } finally {
      await server.end();
    }
  });
});
