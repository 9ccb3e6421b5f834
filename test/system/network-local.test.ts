/** DHCP and metadata of a subnet without Neutron, answered on the SoC and asked for by stock clients. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { NetworkPort } from '../../core/ports/network-service.ts';
import { asId, type InstanceId, type Mac, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import {
  type LocalNetworks,
  type LocalSource,
  localServiceOf,
  startLocalNetworks,
} from '../../drivers/network/local/local-networks.ts';
import { namespaceOf } from '../../drivers/network/local/namespace.ts';
import { systemClock } from '../../kit/clock.ts';
import { instance, markOf, node, otherInstance } from '../contract/samples.ts';
import { addCable, addNamespace, ask, type TestNamespace } from '../support/netns.ts';
import { haveNamespaces, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';

const subnet = { cidr: '10.7.0.0/24', gateway: '10.7.0.1', dns: ['10.7.0.53'], mtu: 1450, vlan: 30 };
const macs = ['02:00:00:00:00:21', '02:00:00:00:00:22'] as const;
const addresses = ['10.7.0.21', '10.7.0.22'] as const;
const instances = [instance, otherInstance] as const;

function portOf(index: 0 | 1): NetworkPort {
  return {
    portId: asId<PortId>(`4444444${index}-4444-4444-8444-444444444444`),
    subnet: 'net1',
    mac: macs[index] as Mac,
    ips: [addresses[index]],
    instance: instances[index],
    madeForInstance: true,
  };
}

const source: LocalSource = {
  ports: () => [portOf(0), portOf(1)],
  instance: async (id: InstanceId) => ({
    id,
    name: id === instance ? 'web-1' : 'web-2',
    metadata: { role: 'web' },
    sshKeys: ['ssh-ed25519 AAAA me'],
    userData: id === instance ? '#cloud-config\nhostname: web-1\n' : null,
    password: null,
  }),
  passwordTaken: async () => undefined,
};

describe.runIf(haveNamespaces('local networks on Open vSwitch'))('a local network', () => {
  const directory = mkdtempSync(join(tmpdir(), 'local-network-'));
  const script = join(directory, 'lease.sh');
  let soc: TestNamespace;
  let hosts: readonly [TestNamespace, TestNamespace];
  let ovs: TestSwitch;
  let network: OvsNetwork;
  let local: LocalNetworks;

  /** One exchange of busybox' DHCP client; what it was told. */
  async function lease(at: 0 | 1): Promise<Readonly<Record<string, string>>> {
    const file = join(directory, `lease-${at}`);
    writeFileSync(file, '');
    const client = ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '3', '-T', '1', '-O', 'staticroutes', '-O', 'mtu'];
    await hosts[at].exec('env', `LEASE=${file}`, 'busybox', ...client, '-s', script);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    return Object.fromEntries(lines.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
  }
  const get = async (at: 0 | 1, path: string, ...header: string[]): Promise<unknown> => {
    const { status, body } = await ask(hosts[at], 'get', `http://169.254.169.254${path}`, 2000, ...header);
    return status === 200 ? body : status;
  };

  beforeAll(async () => {
    writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && env > "$LEASE"\nexit 0\n', { mode: 0o755 });
    soc = await addNamespace();
    hosts = [await addNamespace(), await addNamespace()];
    for (const index of [0, 1] as const) {
      await addCable({ at: soc, name: `pf${index}rep0` }, { at: hosts[index], name: 'eth0', mac: macs[index] });
    }
    ovs = await startSwitch({ datapath: 'netdev', netns: soc.name });
    const parts = { node, clock: systemClock, log: silentLog };
    network = createOvsNetworkBinder({
      ...parts,
      ovsdb: ovs.ovsdb,
      bridge: ovs.bridge,
      flows: 'ours',
      antiSpoof: true,
      segments: { net1: subnet },
      localService: localServiceOf,
    });
    local = startLocalNetworks({
      ...parts,
      network,
      subnets: { net1: subnet },
      source,
      switchNetns: soc.name,
      leaseSeconds: 600,
    });
    await local.ensure();
    for (const index of [0, 1] as const) {
      const { portId, mac, ips } = portOf(index);
      const functionId = nicFunctionId(instances[index], portId);
      const mark = { ...markOf('nic', portId, instances[index]), port: { subnet: 'net1', ips } };
      await network.bind({ portId, functionId, representor: `pf${index}rep0`, mac, mark });
    }
  });
  afterAll(async () => {
    await local.remove();
    await network.close();
    await ovs.stop();
    for (const each of [soc, ...hosts]) await each.remove();
    rmSync(directory, { recursive: true });
  });

  it('gives each port its own address, and what goes with it', async () => {
    expect(await lease(0)).toMatchObject({
      ip: addresses[0],
      mask: '24',
      router: subnet.gateway,
      dns: '10.7.0.53',
      mtu: '1450',
      hostname: 'web-1',
      lease: '600',
      serverid: '169.254.169.254',
      staticroutes: '169.254.169.254/32 0.0.0.0 0.0.0.0/0 10.7.0.1',
    });
    expect(await lease(1)).toMatchObject({ ip: addresses[1], hostname: 'web-2' });
  });

  it('goes on to answer whom it answered before, also after it looked at everything again', async () => {
    const first = await lease(0);
    await local.ensure();
    expect(await lease(0)).toEqual(first);
  });

  it('says nothing to a MAC that no port has', async () => {
    await hosts[1].ip('link', 'set', 'eth0', 'address', '02:00:00:00:00:99');
    await expect(lease(1)).rejects.toThrow();
    await hosts[1].ip('link', 'set', 'eth0', 'address', macs[1]);
  });

  it('answers metadata in both forms, of the instance that asks and of no other', async () => {
    for (const index of [0, 1] as const) {
      await hosts[index].ip('addr', 'replace', `${addresses[index]}/24`, 'dev', 'eth0');
      await hosts[index].ip('route', 'replace', '169.254.169.254/32', 'dev', 'eth0');
    }
    expect(await get(0, '/latest/meta-data/local-ipv4')).toBe(addresses[0]);
    expect(await get(0, '/latest/user-data')).toBe('#cloud-config\nhostname: web-1\n');
    expect(await get(0, '/2009-04-04/meta-data/public-keys/0/openssh-key')).toBe('ssh-ed25519 AAAA me');
    const document = JSON.parse(String(await get(1, '/openstack/latest/meta_data.json'))) as Record<string, unknown>;
    expect(document).toMatchObject({ uuid: otherInstance, name: 'web-2', meta: { role: 'web' } });
    expect(JSON.parse(String(await get(1, '/openstack/latest/network_data.json')))).toMatchObject({
      links: [{ ethernet_mac_address: macs[1], mtu: 1450 }],
    });
    expect(await get(1, '/latest/user-data')).toBe(404);
    expect(await get(1, '/latest/user-data', 'X-Forwarded-For: 10.7.0.21')).toBe(403);
    // another's address does not help: frames with it never arrive
    await hosts[1].ip('addr', 'add', `${addresses[0]}/32`, 'dev', 'eth0');
    await hosts[1].ip('route', 'replace', '169.254.169.254/32', 'dev', 'eth0', 'src', addresses[0]);
    expect(await get(1, '/latest/user-data')).toBe(0);
    await hosts[1].ip('addr', 'del', `${addresses[0]}/32`, 'dev', 'eth0');
    await hosts[1].ip('route', 'replace', '169.254.169.254/32', 'dev', 'eth0');
  });

  it('goes on after ovs-vswitchd was killed, and after its namespace was taken away', async () => {
    await ovs.kill('vswitchd');
    await ovs.start('vswitchd');
    await until('the ports are back', async () => (await network.list().catch(() => [])).every((each) => each.healthy));
    expect(await lease(0)).toMatchObject({ ip: addresses[0] });
    const place = namespaceOf(node, 'net1');
    await soc.ip('link', 'del', place.port);
    await local.ensure();
    await until('an address again', () => lease(0).catch(() => undefined));
    expect(await get(1, '/latest/meta-data/local-ipv4')).toBe(addresses[1]);
  });

  it('takes away what a subnet had that is served no longer, and leaves nothing behind', async () => {
    const parts = { network, node, source, switchNetns: soc.name, leaseSeconds: 600 };
    const old = { ...parts, subnets: { old: { cidr: '10.6.0.0/24' } }, clock: systemClock, log: silentLog };
    const before = startLocalNetworks(old);
    await before.ensure();
    expect(await network.services.list()).toHaveLength(1);
    const after = startLocalNetworks({ ...old, subnets: {} });
    await after.ensure();
    expect(await network.services.list()).toEqual([]);
    expect(await soc.exec('ip', 'netns', 'list')).not.toContain(namespaceOf(node, 'old').netns);
    for (const each of [before, after, local]) await each.remove();
    const { netns, port } = namespaceOf(node, 'net1');
    expect(await soc.exec('ip', 'netns', 'list')).not.toContain(netns);
    expect(await ovs.vsctl('list-ports', ovs.bridge)).not.toContain(port);
    await local.remove();
  });
});
