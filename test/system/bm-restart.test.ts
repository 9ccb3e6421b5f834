/** Parts of a node die under an instance that runs: it runs on, keeps its devices, and everything is found again. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { GuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';
import { until } from '../support/wait.ts';

describe.runIf(canHaveVirtualNodes('restarts beneath a bare-metal instance'))(
  'beneath an instance',
  { timeout: 240_000 },
  () => {
    let node: VirtualNode;
    let guest: GuestConsole;
    let before: Instance;
    let boot: string;
    const uuid = randomUUID();

    beforeAll(async () => {
      node = await startVirtualNode();
      guest = await node.console();
      const request = { uuid, name: 'lasting', image: 'demo', flavor: '4c8g' };
      await node.succeed('build_and_run_instance', {
        ...request,
        networks: [{ subnet: 'net1' }],
        volumes: [{ volume_id: 'data' }],
        userdata: '#cloud-config\nhostname: web-1\n',
      });
      await guest.expect(/^web-1 login: /m);
      guest.send('\n');
      await guest.login();
      before = await node.instance(uuid);
      boot = await guest.run('cat /proc/sys/kernel/random/boot_id');
    }, 400_000);
    afterAll(async () => {
      guest?.close();
      await node?.close();
    }, 60_000);
    beforeEach(async () => {
      await node.repair();
    });

    /** The same devices at the same addresses, and the guest has not been disturbed. */
    async function isAsBefore(): Promise<void> {
      await node.ready();
      const { interfaces, volumes } = before;
      await until('the instance is as before', async () => {
        const now = await node.instance(uuid).catch(() => undefined);
        return now?.state === 'active' && now.task === null;
      });
      const now = await node.instance(uuid);
      expect(now).toMatchObject({ name: 'lasting', state: 'active', interfaces, flavor: before.flavor });
      const byId = (all: Instance['volumes']) => [...all].sort((a, b) => a.volume_id.localeCompare(b.volume_id));
      expect(byId(now.volumes)).toEqual(byId(volumes));
      expect(await guest.run('cat /proc/sys/kernel/random/boot_id')).toBe(boot);
      expect(await guest.run('dd if=/dev/vdb bs=1M count=1 2>/dev/null | wc -c')).toBe('1048576');
      await guest.until('ping -q -c 2 -W 2 169.254.169.254');
    }

    it('the daemon is killed', async () => {
      await node.kill('daemon');
      await node.repair();
      await isAsBefore();
    });

    it('the daemon is killed and its store lost: the instance is found by its marks', async () => {
      await node.kill('daemon');
      await node.forgetStore();
      await node.repair();
      await isAsBefore();
    });

    it('SPDK is killed while the guest writes', async () => {
      const writes =
        'for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/dev/vdb bs=1M seek=$i count=1 conv=fsync 2>/dev/null || exit 1; usleep 200000; done';
      const written = guest.run(writes, 120_000);
      await node.kill('spdk-face');
      await node.repair();
      await written;
      await isAsBefore();
      expect(await guest.run('dmesg | grep -c "I/O error" || true')).toBe('0');
    });

    it('ovs-vswitchd is killed', async () => {
      await node.kill('ovs-vswitchd');
      await node.repair();
      await isAsBefore();
    });

    it('snic-controller is killed', async () => {
      await node.kill('snic-controller');
      await node.repair();
      await isAsBefore();
      await node.succeed('attach_volume', { uuid, volume: { volume_id: 'later' } });
      await node.succeed('detach_volume', { uuid, volume_id: 'later' });
      await isAsBefore();
    });

    it('RabbitMQ is killed', async () => {
      await node.kill('rabbitmq');
      await node.repair();
      await isAsBefore();
      await until(
        'it answers over AMQP again',
        () => node.call('get_instance', { uuid }).catch(() => undefined),
        60_000,
      );
    });

    it('the BMC is killed: the node is not ready and says why, until it is back', async () => {
      await node.kill('bmc');
      const reasons = async () => (await node.status()).not_ready_reasons.map(({ id }) => id);
      await until('the reason', async () => (await reasons()).includes('bmc-unreachable'), 120_000);
      expect(await node.status()).toMatchObject({ ready: false });
      await node.repair();
      guest.close();
      guest = await node.console();
      guest.send('\n');
      await isAsBefore();
      await node.succeed('destroy_instance', { uuid });
      await node.clean();
    });
  },
);
