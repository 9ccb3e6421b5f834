/** The tenant network of a virtual DPU, seen by a guest: addresses, metadata, TCP. */
import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { removeTenantInstance, setTenantInstance } from '../../virtual-dpu/network/tenant-instance.ts';
import { runInSoc } from '../../virtual-dpu/soc.ts';
import { addGuest, canHaveVirtualDpus, type TestGuest, testDpus } from '../support/virtual-dpu.ts';

const dpus = testDpus();
const guests: TestGuest[] = [];
const METADATA = 'http://169.254.169.254';
const UUID = '0b9d0f4e-6a53-4b3c-9d0d-3c86a1f0a001';

afterEach(async () => {
  for (const guest of guests.splice(0)) await guest.remove();
  await dpus.close();
});

async function guestOf(dpu: VirtualDpu, index: number, ifaceId?: string): Promise<TestGuest> {
  const mac = `52:54:00:aa:00:0${index}`;
  const guest = await addGuest(dpu, {
    representor: `pf${index}rep0`,
    mac,
    ...(ifaceId === undefined ? {} : { ifaceId }),
  });
  guests.push(guest);
  return guest;
}

describe.runIf(canHaveVirtualDpus("the virtual DPU's tenant network"))(
  'the tenant network',
  { timeout: 120_000 },
  () => {
    it('gives a guest its address and its metadata, over TCP', async () => {
      const dpu = await dpus.up();
      const userData = `#cloud-config\n# ${'x'.repeat(300_000)}\n`;
      const metaData = { uuid: UUID, name: 'web one', public_keys: { mine: 'ssh-ed25519 AAAA me' } };
      const guest = await guestOf(dpu, 1);
      await setTenantInstance(dpu, { mac: guest.mac, ip: '192.168.77.20', hostname: 'web-1', metaData, userData });
      const offer = await guest.dhcp();
      expect(offer).toMatchObject({ ip: '192.168.77.20', router: '192.168.77.1', hostname: 'web-1', mtu: '1500' });
      const json = await guest.get(`${METADATA}/openstack/latest/meta_data.json`);
      expect(JSON.parse(json.body)).toEqual({ ...metaData, hostname: 'web-1' });
      expect(await guest.get(`${METADATA}/openstack/latest/user_data`)).toEqual({ status: 200, body: userData });
      expect(await guest.get(`${METADATA}/latest/user-data`)).toEqual({ status: 200, body: userData });
      const ec2 = async (path: string) => (await guest.get(`${METADATA}/2009-04-04/meta-data/${path}`)).body;
      expect((await ec2('')).split('\n')).toEqual(expect.arrayContaining(['instance-id', 'public-keys/']));
      expect(await ec2('instance-id')).toBe(UUID);
      expect(await ec2('local-hostname')).toBe('web-1');
      expect(await ec2('local-ipv4')).toBe('192.168.77.20');
      expect(await ec2('public-keys/')).toBe('0=mine');
      expect(await ec2('public-keys/0/openssh-key')).toBe('ssh-ed25519 AAAA me');
      expect((await guest.get(`${METADATA}/latest/meta-data/../../../etc/passwd`)).status).toBe(404);
    });

    it('tells each guest of itself only, and one that it does not know of nothing', async () => {
      const dpu = await dpus.up();
      const [known, stranger] = [await guestOf(dpu, 1), await guestOf(dpu, 2)];
      await setTenantInstance(dpu, { mac: known.mac, metaData: { uuid: UUID } });
      const [one, other] = [await known.dhcp(), await stranger.dhcp()];
      expect(other.ip).not.toBe(one.ip);
      expect((await known.get(`${METADATA}/latest/meta-data/instance-id`)).body).toBe(UUID);
      expect((await known.get(`${METADATA}/latest/user-data`)).status).toBe(404);
      expect((await stranger.get(`${METADATA}/openstack/latest/meta_data.json`)).status).toBe(404);
      await removeTenantInstance(dpu, known.mac);
      expect((await known.get(`${METADATA}/latest/meta-data/instance-id`)).status).toBe(404);
    });

    it('leaves no address to whom it was told to forget', async () => {
      const dpu = await dpus.up();
      const guest = await guestOf(dpu, 1);
      await setTenantInstance(dpu, { mac: guest.mac, ip: '192.168.77.21' });
      await removeTenantInstance(dpu, guest.mac);
      expect(readdirSync(dpu.network.tenant?.hostsDir ?? '')).toEqual([]);
      expect((await guest.dhcp()).ip).not.toBe('192.168.77.21');
      await expect(setTenantInstance(dpu, { mac: '../../x' })).rejects.toMatchObject({ code: 'invalid', field: 'mac' });
    });
  },
);

describe.runIf(canHaveVirtualDpus('the virtual DPU with OVN', { ovn: true }))('with OVN', { timeout: 120_000 }, () => {
  it('binds a port by its iface-id, and carries DHCP, metadata and TCP between guests', async () => {
    const dpu = await dpus.up({ ovn: true });
    const ovn = dpu.network.ovn;
    const addPort = async (port: string, mac: string) => {
      const argv = [
        'lsp-add',
        ovn?.tenantSwitch ?? '',
        port,
        '--',
        'lsp-set-addresses',
        port,
        `${mac} dynamic`,
        'unknown',
      ];
      await runInSoc(dpu, ['ovn-nbctl', '--timeout=10', '--wait=hv', ...argv]);
    };
    await addPort('port-1', '52:54:00:aa:00:01');
    const guest = await guestOf(dpu, 1, 'port-1');
    await runInSoc(dpu, [
      ...(['ovs-vsctl', '--timeout=10', 'wait-until', 'Interface', 'pf1rep0'] as const),
      'external_ids:ovn-installed="true"',
    ]);
    await setTenantInstance(dpu, { mac: guest.mac, metaData: { uuid: UUID }, userData: 'y'.repeat(300_000) });
    expect((await guest.dhcp()).ip).toMatch(/^192\.168\.77\./);
    expect((await guest.get(`${METADATA}/openstack/latest/user_data`)).body).toHaveLength(300_000);
    const unbound = await guestOf(dpu, 2, 'port-nobody-made');
    await expect(
      unbound.exec('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '2', '-T', '1'),
    ).rejects.toThrow();
  });
});
