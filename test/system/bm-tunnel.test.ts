/** Two whole nodes with an instance each: the guests reach one another through a tunnel between the nodes' switches, as fast as their limits say. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { SocDaemonConfig } from '../../schemas/generated/config.ts';
import { writePrivately } from '../../tools/demo/layout.ts';
import { runInSoc } from '../../virtual-dpu/soc.ts';
import type { GuestConsole } from '../support/guest-console.ts';
import { addCable } from '../support/netns.ts';
import { socNamespace } from '../support/virtual-dpu.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';
import { until } from '../support/wait.ts';

type Tunnel = NonNullable<NonNullable<SocDaemonConfig['network']>['tunnels']>[number];

/** A node, its instance, and where its tunnel ends. */
interface Side {
  readonly node: VirtualNode;
  readonly uuid: string;
  readonly underlay: string;
  guest: GuestConsole;
  address: string;
  representor: string;
  port: string;
}

const WIRE = 'uplink';
const BOOT_MS = 120_000;
/** Bits a second: a third of what a guest under emulation sends on a machine with ten times too much to do. */
const LIMIT = 300_000;
const WINDOW_MS = 4000;

describe.runIf(canHaveVirtualNodes('a tunnel between virtual DPUs'))('two nodes', { timeout: 600_000 }, () => {
  const sides: Side[] = [];
  const pair = (): readonly [Side, Side] => {
    const [one, two] = sides;
    if (one === undefined || two === undefined) throw new Error('two nodes are needed');
    return [one, two];
  };

  beforeAll(async () => {
    const pools = [10, 20].map((first) => ({ first: `10.0.0.${first}`, last: `10.0.0.${first + 9}` }));
    const nodes = await Promise.allSettled(pools.map((pool) => startVirtualNode({ pool })));
    for (const [at, each] of nodes.entries()) {
      if (each.status === 'rejected') continue;
      const more = { uuid: randomUUID(), underlay: `172.31.9.${at + 1}` };
      const guest = await each.value.console();
      sides.push({ node: each.value, ...more, guest, address: '', representor: '', port: '' });
    }
    for (const each of nodes) if (each.status === 'rejected') throw each.reason;
    const [one, two] = pair();
    await addCable({ at: socNamespace(one.node.dpu), name: WIRE }, { at: socNamespace(two.node.dpu), name: WIRE });
    await runInSoc(one.node.dpu, ['ethtool', '-K', WIRE, 'tx', 'off']);
    await Promise.all(sides.map(joinUnderlay));
    await Promise.all(sides.map(boot));
    await two.guest.run('mkdir /tmp/www; dd if=/dev/urandom of=/tmp/www/file bs=64k count=8 2>/dev/null');
    await two.guest.run('httpd -p 8080 -h /tmp/www');
  }, 600_000);
  afterAll(async () => {
    for (const { guest, node } of sides) {
      guest.close();
      await node.close();
    }
  }, 60_000);

  /** Tunnels of the userspace datapath need their address on a bridge of the same datapath. */
  async function joinUnderlay({ node: { dpu }, underlay }: Side): Promise<void> {
    const bridge = ['add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', 'datapath_type=netdev'];
    await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', ...bridge, '--', 'add-port', 'br-phy', WIRE]);
    // what a tunnel adds to a frame of 1500 bytes must fit too
    for (const each of [WIRE, 'br-phy'])
      await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', 'set', 'interface', each, 'mtu_request=1600']);
    await runInSoc(dpu, ['ip', 'addr', 'add', `${underlay}/24`, 'dev', 'br-phy']);
    await runInSoc(dpu, ['ip', 'link', 'set', 'br-phy', 'up']);
  }

  async function boot(side: Side): Promise<void> {
    const { node, uuid, guest } = side;
    const build = { image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
    await node.succeed('build_and_run_instance', { uuid, name: 'one-of-two', ...build });
    const [nic] = (await node.instance(uuid)).interfaces;
    side.address = nic?.ips[0] ?? '';
    side.port = nic?.port_id ?? '';
    side.representor = (await node.functions()).find((each) => each.mac === nic?.mac)?.representor ?? '';
    await guest.login({ ms: BOOT_MS });
  }

  /** Has the node's daemon read another configuration, with this tunnel and no other; its instance runs on. */
  async function tunnel(side: Side, other: Side, kind: Tunnel['kind'], key: number): Promise<void> {
    const { layout } = side.node;
    const config = parse(await readFile(layout.config, 'utf8')) as SocDaemonConfig;
    const tunnels: Tunnel[] = [{ name: `tun-${kind}`, kind, remote: other.underlay, local: side.underlay, key }];
    await writePrivately(layout.config, stringify({ ...config, network: { ...config.network, tunnels } }));
    await side.node.kill('daemon');
    await side.node.repair();
    await side.node.ready();
  }

  const reaches = async (from: Side, to: Side): Promise<boolean> =>
    (await from.guest.status(`ping -c 1 -w 2 ${to.address}`)).code === 0;

  /** Frames and bytes that the switch has handed to a side's guest. */
  async function handed({ node, representor }: Side): Promise<{ readonly bytes: number; readonly at: number }> {
    const text = await runInSoc(node.dpu, ['ip', '-json', '-s', 'link', 'show', 'dev', representor]);
    const at = performance.now();
    const [link] = JSON.parse(text) as readonly { readonly stats64: { readonly tx: { readonly bytes: number } } }[];
    return { bytes: link?.stats64.tx.bytes ?? Number.NaN, at };
  }

  /** Bits a second that come to a side's guest now. */
  async function rate(to: Side): Promise<number> {
    const before = await handed(to);
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    const after = await handed(to);
    return ((after.bytes - before.bytes) * 8 * 1000) / (after.at - before.at);
  }

  /** The greatest of some rates: a sender on a machine that has more to do pauses, and what could have passed meanwhile is lost. */
  async function best(to: Side): Promise<number> {
    const rates: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) rates.push(await rate(to));
    return Math.max(...rates);
  }

  it('keep their instances apart as long as there is no tunnel', async () => {
    const [one, two] = pair();
    expect(one.address).toMatch(/^10\.0\.0\.1\d$/);
    expect(two.address).toMatch(/^10\.0\.0\.2\d$/);
    expect(await reaches(one, two)).toBe(false);
  });

  it.each(['geneve', 'vxlan'] as const)('carry what instances send by %s, of one network only', async (kind) => {
    const [one, two] = pair();
    await Promise.all([tunnel(one, two, kind, 77), tunnel(two, one, kind, 77)]);
    await until(
      'the guests reach each other',
      async () => (await reaches(one, two)) && (await reaches(two, one)),
      60_000,
    );
    const sum = await two.guest.run('md5sum </tmp/www/file');
    expect(await one.guest.run(`http-get ${two.address}:8080 /file | md5sum`)).toBe(sum);
    await tunnel(two, one, kind, 78);
    await until('the guests are parted', async () => !(await reaches(one, two)), 60_000);
  });

  it('hold an instance to its limit, and no tighter', async () => {
    const [one, two] = pair();
    await Promise.all([tunnel(one, two, 'geneve', 77), tunnel(two, one, 'geneve', 77)]);
    await until('the guests reach each other', () => reaches(one, two), 60_000);
    // many times the limit, and more than it even where the guest's timers are late
    const flood = `ping -q -i 0.005 -s 1400 ${two.address} >/dev/null 2>&1 &`;
    await one.guest.run(`(${flood} ${flood})`);
    expect(await best(two)).toBeGreaterThan(LIMIT * 1.3); // so that the limit is what holds it
    await one.node.succeed('set_interface_qos', { interface: one.port, bps: LIMIT, direction: 'egress' });
    await rate(two); // what was on its way
    const limited = await best(two);
    expect(limited).toBeGreaterThan(LIMIT * 0.9);
    expect(limited).toBeLessThan(LIMIT * 1.1);
  });

  it('leave nothing', async () => {
    for (const { node, uuid } of sides) {
      await node.succeed('destroy_instance', { uuid });
      await node.clean();
    }
  });
});
