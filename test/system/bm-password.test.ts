/**
 * A new administrator's password on a real Debian with cloud-init, on the virtual DPU. Run by hand, since the image takes minutes to make and to boot:
 * `GUEST_DEBIAN=debian.img npm test -- test/system/bm-password.test.ts` (docs/guest-images.md says how it is made).
 */
import { randomUUID } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';

const image = process.env.GUEST_DEBIAN;
/** A Debian boots in minutes under emulation. */
const BOOT_MS = 1_200_000;

describe.runIf(image !== undefined && canHaveVirtualNodes('a password on Debian'))(
  'a Debian guest',
  { timeout: 4 * BOOT_MS },
  () => {
    let node: VirtualNode;
    let guest: GuestConsole;
    const [first, second] = [`first-${randomUUID()}`, `second-${randomUUID()}`];
    const keys = 'cat /etc/ssh/ssh_host_*_key.pub | md5sum';

    beforeAll(async () => {
      node = await startVirtualNode();
      guest = await node.console();
      await copyFile(image ?? '', join(node.layout.images, 'debian.img'));
    }, 400_000);
    afterAll(async () => {
      guest?.close();
      await node?.close();
    }, 60_000);

    async function login(password: string): Promise<void> {
      await guest.expect(/Cloud-init v\. \S+ finished at /, BOOT_MS);
      guest.send('\n');
      await guest.login({ password });
    }

    it.each(['config-2', 'metadata'] as const)(
      'takes a new password over from %s, once, with its host keys',
      async (from) => {
        const uuid = randomUUID();
        await node.succeed('build_and_run_instance', {
          uuid,
          name: 'debian-1',
          image: 'debian',
          flavor: '4c8g',
          networks: [{ subnet: 'net1' }],
          userdata: { admin_pass: first },
          config_drive: from === 'config-2' ? from : false,
        });
        await login(first);
        const before = await guest.run(keys);
        expect(await guest.run('cat /var/lib/cloud/data/instance-id')).toBe(uuid);
        await node.succeed('reset_instance_admin_password', { uuid, new_password: second });
        await node.succeed('reboot_instance', { uuid, type: 'soft' });
        await guest.expect(/Cloud-init v\. \S+ finished at /, BOOT_MS);
        guest.send('\n');
        await guest.expect('login: ');
        guest.send('root\n');
        await guest.expect('Password: ');
        guest.send(`${first}\n`);
        await guest.expect('Login incorrect');
        await guest.login({ password: second });
        expect(await guest.run(keys)).toBe(before);
        await node.succeed('destroy_instance', { uuid });
        await node.clean({ but: ['debian'] });
      },
    );
  },
);
