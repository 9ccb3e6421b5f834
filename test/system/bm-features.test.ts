/** What an instance is told, started from and rid of, on real parts: config drive, password, rebuild, rescue, boot volumes of others, wipe. */
import { randomUUID } from 'node:crypto';
import { copyFile, link, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../kit/exec.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { GuestConsole } from '../support/guest-console.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';

const BOOT_MS = 240_000;

describe.runIf(canHaveVirtualNodes('features of a bare-metal instance'))(
  'a bare-metal instance with a config drive',
  { timeout: 600_000 },
  () => {
    let node: VirtualNode;
    let guest: GuestConsole;
    let broken = false;
    const uuid = randomUUID();
    const password = `s3cret-${randomUUID()}`;
    const rescuePassword = `r3scue-${randomUUID()}`;

    beforeAll(async () => {
      node = await startVirtualNode();
      guest = await node.console();
    }, 400_000);
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
    const boot = async () => (await instance()).volumes.find((each) => each.boot);
    const volumesDir = (): string => node.dpu.storage.volumesDir;

    async function login(name: string, options: { readonly password?: string } = {}): Promise<void> {
      await guest.expect(new RegExp(`^${name} login: `, 'm'), BOOT_MS);
      guest.send('\n');
      await guest.login(options);
    }

    /** Name of a disk in the guest, by its PCIe address. */
    async function diskAt(bdf: string | null | undefined): Promise<string> {
      const line = (await guest.run('facts'))
        .split('\n')
        .find((each) => each.startsWith('disk ') && each.includes(` ${bdf} `));
      return `/dev/${line?.split(' ')[1]}`;
    }

    /** Whether a text stands in any file of the daemon's, or in its log. */
    async function isWritten(text: string): Promise<boolean> {
      const args = [
        '-r',
        '-l',
        '-a',
        '-F',
        '--exclude=*.lvols',
        '-e',
        text,
        node.layout.state,
        volumesDir(),
        node.layout.daemonLog,
      ];
      const { code } = await exec('grep', args, { timeoutMs: 60_000 });
      return code === 0;
    }

    it('is told of itself by a read-only drive', async () => {
      await node.succeed('build_and_run_instance', {
        uuid,
        name: 'first',
        image: 'demo',
        flavor: '4c8g',
        networks: [{ subnet: 'net1' }],
        volumes: [{ volume_id: 'data' }],
        userdata: '#cloud-config\nhostname: web-1\n',
        config_drive: true,
        ssh_keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me'],
      });
      await guest.expect('guest: configuration from config-2', BOOT_MS);
      await login('web-1');
      const drive = (await instance()).volumes.find((each) => each.read_only);
      const disk = await diskAt(drive?.bdf);
      await guest.run(`mkdir -p /tmp/drive; mount -t iso9660 -o ro ${disk} /tmp/drive`);
      const metadata = JSON.parse(await guest.run('cat /tmp/drive/openstack/latest/meta_data.json')) as object;
      expect(metadata).toMatchObject({
        uuid,
        name: 'first',
        public_keys: { 'key-0': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me' },
      });
      const [nic] = (await instance()).interfaces;
      expect(await guest.run('cat /tmp/drive/openstack/latest/network_data.json')).toContain(nic?.mac);
      expect(await guest.run('cat /tmp/drive/user-data')).toContain('hostname: web-1');
      expect((await guest.status(`dd if=/dev/zero of=${disk} bs=512 count=1 conv=fsync 2>&1`)).code).not.toBe(0);
    });

    it('takes over a new password when it is reset by its BMC', async () => {
      const { result } = await node.succeed('reset_instance_admin_password', { uuid, new_password: password });
      expect(result).toEqual({ takes_effect: 'next_start', drive: true });
      const { steps } = await node.succeed('reboot_instance', { uuid, type: 'hard' });
      expect(steps.map(({ name }) => name)).toContain('host:reset');
      await guest.expect(/^web-1 login: /m, BOOT_MS);
      guest.send('\nroot\n');
      await guest.expect('Password: ');
      guest.send('wrong\n');
      await guest.expect('Login incorrect');
      await guest.login({ password });
      expect(await isWritten(password)).toBe(false);
      expect(await isWritten('hostname: web-1')).toBe(true); // what is looked for can be found: on the drive
    });

    it('is rebuilt: a new boot disk in the same place, with all else as it was', async () => {
      const before = await instance();
      const data = await diskAt(before.volumes.find(({ volume_id }) => volume_id === 'data')?.bdf);
      await guest.run(`echo kept | dd of=${data} bs=512 seek=9 conv=fsync 2>/dev/null`);
      await node.succeed('rebuild_instance', { uuid, userdata: '#cloud-config\nhostname: web-2\n' });
      await login('web-2');
      const after = await instance();
      expect(after).toMatchObject({ state: 'active', interfaces: before.interfaces });
      expect(await guest.run(`dd if=${data} bs=512 skip=9 count=1 2>/dev/null | head -c 4`)).toBe('kept');
      const places = ({ volumes }: Instance) => volumes.map(({ bdf, size_bytes }) => `${bdf} ${size_bytes}`).sort();
      expect(places(after)).toEqual(places(before));
      const old = before.volumes.find((each) => each.boot)?.volume_id ?? '';
      expect((await boot())?.volume_id).not.toBe(old);
      expect((await readdir(volumesDir())).filter((name) => name.includes(old))).toEqual([]);
    });

    it('is rescued when its own disk does not boot, mended, and back without a trace', async () => {
      const before = await instance();
      const own = await boot();
      const disk = await diskAt(own?.bdf);
      await guest.run(`dd if=${disk} of=/tmp/sector bs=512 count=1 2>/dev/null`);
      const sector = await guest.run('base64 /tmp/sector | tr -d "\\n"');
      await guest.run(`dd if=/dev/zero of=${disk} bs=512 count=1 conv=fsync 2>/dev/null`);
      await node.succeed('rescue_instance', { uuid, admin_pass: rescuePassword });
      expect(await instance()).toMatchObject({ state: 'rescued' });
      await login('web-2', { password: rescuePassword });
      const seen = await diskAt(own?.bdf);
      expect(await guest.run(`dd if=${seen} bs=512 count=1 2>/dev/null | tr -d '\\000' | wc -c`)).toBe('0');
      await guest.run(`echo ${sector} | base64 -d | dd of=${seen} bs=512 count=1 conv=fsync 2>/dev/null`);
      expect(await isWritten(rescuePassword)).toBe(false);
      await node.succeed('unrescue_instance', { uuid });
      await login('web-2');
      expect(await instance()).toMatchObject({
        state: 'active',
        volumes: before.volumes,
        interfaces: before.interfaces,
      });
    });

    it('is destroyed, and what was on its drive is written over', async () => {
      const drive = (await instance()).volumes.find((each) => each.read_only);
      const kept = join(node.layout.dir, 'kept');
      await link(join(volumesDir(), `${drive?.volume_id}.drive`), kept);
      expect((await readFile(kept)).includes('hostname: web-2')).toBe(true);
      // an lvol store gives blocks back, and writes nothing over
      await expect(node.call('destroy_instance', { uuid, wipe: 'zero' })).rejects.toThrow(/wiped/);
      await node.succeed('destroy_instance', { uuid, wipe: 'discard' });
      expect((await readFile(kept)).some((byte) => byte !== 0)).toBe(false);
      await node.clean();
    });

    it('starts from a volume that comes with its connection, which can be changed while it is stopped', async () => {
      const second = randomUUID();
      const path = join(volumesDir(), 'lent.img');
      await copyFile(join(node.layout.images, 'demo.img'), path);
      const volume = {
        volume_id: 'lent',
        bootable: true,
        connection_info: { driver_volume_type: 'local', data: { path } },
      };
      const name = 'web-3';
      await node.succeed('build_and_run_instance', {
        uuid: second,
        name,
        flavor: '4c8g',
        volumes: [volume],
        config_drive: 'cidata',
      });
      await guest.expect('guest: configuration from cidata', BOOT_MS);
      await login(name);
      await node.succeed('stop_instance', { uuid: second, timeout: 60 });
      await node.succeed('detach_volume', { uuid: second, volume_id: 'lent' });
      await expect(node.call('start_instance', { uuid: second })).rejects.toThrow(/boot disk/);
      await node.succeed('attach_volume', { uuid: second, volume });
      await node.succeed('start_instance', { uuid: second });
      await login(name);
      await node.succeed('rebuild_instance', { uuid: second, userdata: '#cloud-config\nhostname: web-4\n' });
      await login('web-4');
      await node.succeed('destroy_instance', { uuid: second });
      await node.clean({ but: ['lent.img'] });
    });
  },
);
