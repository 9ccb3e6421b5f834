/** The whole life of a bare-metal instance on real parts, driven over AMQP and REST as a platform does, and what it leaves: nothing. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { GuestConsole } from '../support/guest-console.ts';
import { bmcSessions } from '../support/node-leaks.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode, VOLUMES } from '../support/virtual-node.ts';
import { until } from '../support/wait.ts';

const BOOT_MS = 120_000;

describe.runIf(canHaveVirtualNodes('the life of a bare-metal instance'))(
  'a bare-metal instance',
  { timeout: 400_000 },
  () => {
    let node: VirtualNode;
    let guest: GuestConsole;
    let sessions: number;
    let broken = false;
    const snapshots: string[] = [];
    const uuid = randomUUID();

    beforeAll(async () => {
      node = await startVirtualNode();
      guest = await node.console();
      sessions = await bmcSessions(node.dpu);
    }, 240_000);
    afterAll(async () => {
      guest?.close();
      await node?.close();
    }, 60_000);
    beforeEach(({ skip }) => {
      if (broken) skip('an earlier part of its life failed');
    });
    afterEach(({ task }) => {
      if (task.result?.state === 'fail') broken = true;
    });

    const instance = (): Promise<Instance> => node.instance(uuid);
    const post = async (path: string, body: unknown): Promise<Operation> => {
      const { id } = (await node.rest.ask('POST', `/v1/instances/${uuid}${path}`, body)) as Operation;
      const operation = await node.ended(id);
      expect(operation).toMatchObject({ state: 'succeeded' });
      return operation;
    };

    /** Devices of a kind as the guest sees them, by PCIe address. */
    async function facts(kind: 'nic' | 'disk'): Promise<Readonly<Record<string, readonly string[]>>> {
      const lines = (await guest.run('facts')).split('\n').map((line) => line.split(' '));
      return Object.fromEntries(
        lines.flatMap(([what, name = '', bdf, ...rest]) => (what === kind ? [[bdf, [name, ...rest]]] : [])),
      );
    }

    async function login(): Promise<void> {
      await guest.expect(/^web-1 login: /m, BOOT_MS);
      guest.send('\n');
      await guest.login();
    }

    /** How many of 100 large packets to the metadata address came back, sent at some 140 kB a second, or slower on a busy machine. */
    async function answeredPings(): Promise<number> {
      const { output } = await guest.status('ping -q -c 100 -i 0.01 -W 2 -s 1400 169.254.169.254', 90_000);
      return Number(/(\d+) packets received/.exec(output)?.[1] ?? Number.NaN);
    }

    it('is built, and boots to a login with its host name and address', async () => {
      const status = await node.call<NodeStatus>('report_node_status');
      expect(status).toMatchObject({
        ready: true,
        host_power: 'off',
        serial_number: node.dpu.host.serialNumber,
        instances: [],
      });
      await node.succeed('build_and_run_instance', {
        uuid,
        name: 'first',
        image: 'demo',
        flavor: '4c8g',
        networks: [{ subnet: 'net1' }],
        volumes: [{ volume_id: 'data', bootable: 'no' }],
        userdata: '#cloud-config\nhostname: web-1\n',
      });
      expect(await instance()).toMatchObject({ state: 'active', status: 'up', task: null });
      await login();
      const { interfaces, volumes } = await instance();
      const nics = await facts('nic');
      for (const { bdf, mac, ips } of interfaces)
        expect(nics[bdf ?? ''], bdf ?? '').toEqual(['eth0', mac, `${ips[0]}/24`]);
      const disks = await facts('disk');
      expect(Object.keys(disks).sort()).toEqual(volumes.map(({ bdf }) => bdf).sort());
      for (const { bdf, size_bytes } of volumes) expect(Number(disks[bdf ?? '']?.[1])).toBe(size_bytes);
    });

    it('keeps what it writes to a volume, which takes nothing from its neighbours', async () => {
      const data = (await instance()).volumes.find(({ volume_id }) => volume_id === 'data');
      const disk = (await facts('disk'))[data?.bdf ?? '']?.[0];
      await guest.run(
        `yes written-by-web-1 | head -c 1048576 >/tmp/bytes; dd if=/tmp/bytes of=/dev/${disk} bs=1M seek=3 conv=fsync 2>/dev/null`,
      );
      await guest.run('echo 3 >/proc/sys/vm/drop_caches');
      const sum = await guest.run('md5sum </tmp/bytes');
      expect(await guest.run(`dd if=/dev/${disk} bs=1M skip=3 count=1 2>/dev/null | md5sum`)).toBe(sum);
      expect(await guest.run(`dd if=/dev/${disk} bs=1M count=3 2>/dev/null | tr -d '\\000' | wc -c`)).toBe('0');
      await node.succeed('detach_volume', { uuid, volume_id: 'data' });
      expect((await facts('disk'))[data?.bdf ?? '']).toBeUndefined();
      await node.succeed('attach_volume', { uuid, volume: { volume_id: 'data' } });
      const again = (await instance()).volumes.find(({ volume_id }) => volume_id === 'data');
      const name = (await facts('disk'))[again?.bdf ?? '']?.[0];
      expect(await guest.run(`dd if=/dev/${name} bs=1M skip=3 count=1 2>/dev/null | md5sum`)).toBe(sum);
    });

    it('is given a NIC and a volume while it runs, and gives them back', async () => {
      const before = await instance();
      await post('/interfaces', { network: { subnet: 'net1' } });
      await post('/volumes', { volume: { volume_id: 'later' } });
      const after = await instance();
      const nic = after.interfaces.find(({ port_id }) => !before.interfaces.some((each) => each.port_id === port_id));
      const disk = after.volumes.find(({ volume_id }) => volume_id === 'later');
      await guest.until('facts', (text) => text.includes(`${nic?.bdf} ${nic?.mac} ${nic?.ips[0]}/24`));
      expect(Number((await facts('disk'))[disk?.bdf ?? '']?.[1])).toBe(VOLUMES.later);
      expect(before.interfaces).toEqual(after.interfaces.filter(({ port_id }) => port_id !== nic?.port_id));

      await node.succeed('detach_interface', { uuid, port_id: nic?.port_id });
      await node.succeed('detach_volume', { uuid, volume_id: 'later' });
      expect((await facts('nic'))[nic?.bdf ?? '']).toBeUndefined();
      expect((await facts('disk'))[disk?.bdf ?? '']).toBeUndefined();
      expect(await instance()).toMatchObject({ interfaces: before.interfaces, volumes: before.volumes });
    });

    it('has a console by a token that is good once', async () => {
      type Access = { readonly url: string; readonly token: string; readonly type: string };
      const access = await node.call<Access>('get_instance_console', { uuid, type: 'serial' });
      expect(access.type).toBe('serial');
      const address = `ws+unix://${node.layout.socket}:/v1/console?token=${access.token}`;
      const socket = new WebSocket(address);
      let shown = '';
      socket.on('message', (data, binary) => {
        if (binary) shown += String(data);
      });
      await new Promise<void>((resolve, reject) => void socket.once('open', resolve).once('error', reject));
      await until('the role', async () => {
        socket.send(Buffer.from('echo typed-$((40+2))\n'));
        await new Promise((resolve) => setTimeout(resolve, 300));
        return shown.includes('typed-42');
      });
      socket.close();
      const again = new WebSocket(address);
      const refused = await new Promise<number | undefined>((resolve) => {
        again.once('unexpected-response', (_request, response) => resolve(response.statusCode));
        again.once('open', () => resolve(undefined));
      });
      again.on('error', () => undefined); // it was refused
      again.terminate();
      expect(refused).toBe(401);
    });

    it('is copied while it runs', async () => {
      const boot = (await instance()).volumes.find((each) => each.boot);
      const { result } = await node.succeed('create_snapshot', { instance: uuid, volume: boot?.volume_id });
      expect(result).toMatchObject({ volume_id: boot?.volume_id, size_bytes: boot?.size_bytes });
      const data = await node.succeed('create_snapshot', { uuid, volume_id: 'data' });
      expect(data.result).toMatchObject({ volume_id: 'data' });
      for (const each of [result, data.result]) snapshots.push((each as { snapshot_id: string }).snapshot_id);
      expect(await guest.run('echo alive')).toBe('alive');
    });

    it('is stopped and started, softly and hard, with the same devices', async () => {
      const { interfaces, volumes } = await instance();
      for (const timeout of [60, 0]) {
        await node.succeed('stop_instance', { uuid, timeout });
        expect(await instance()).toMatchObject({ state: 'stopped', status: 'down', interfaces, volumes });
        expect((await node.functions()).length).toBe(interfaces.length + volumes.length);
        await node.succeed('start_instance', { uuid });
        expect(await instance()).toMatchObject({ state: 'active' });
        await login();
      }
      expect(await instance()).toMatchObject({ interfaces, volumes });
      expect(Object.keys(await facts('disk')).sort()).toEqual(volumes.map(({ bdf }) => bdf).sort());
    });

    it.each(['soft', 'hard'])('is rebooted: %s', async (type) => {
      const boots = await guest.run('cat /proc/sys/kernel/random/boot_id');
      await node.succeed('reboot_instance', { instance: uuid, type });
      await login();
      expect(await guest.run('cat /proc/sys/kernel/random/boot_id')).not.toBe(boots);
    });

    it('is held to a limit of its NIC', async () => {
      const [nic] = (await instance()).interfaces;
      const limit = (bps: number) =>
        node.succeed('set_interface_qos', { interface: nic?.port_id, bps, direction: 'egress' });
      await limit(80_000);
      expect((await instance()).interfaces[0]?.qos).not.toBeNull();
      expect(await answeredPings()).toBeLessThan(70);
      await limit(0);
      expect((await instance()).interfaces[0]?.qos).toBeNull();
      expect(await answeredPings()).toBeGreaterThan(90);
    });

    it('is destroyed, and nothing is left', async () => {
      expect((await node.leaks()).length).toBeGreaterThan(8); // what is looked for can be seen
      await node.succeed('destroy_instance', { uuid });
      await node.clean({ but: snapshots }); // a copy outlives what it was made of
      expect(await node.call<NodeStatus>('report_node_status')).toMatchObject({
        ready: true,
        host_power: 'off',
        instances: [],
        used_cpu: 0,
      });
      expect(await bmcSessions(node.dpu)).toBe(sessions);
    });
  },
);
