import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bdev, type SpdkClient, vhost } from 'spdk-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DiskUser, useDisk } from '../support/disk-user.ts';
import { havePrograms } from '../support/qemu-machine.ts';
import { facePrograms, startTestStorage, type TestStorage } from '../support/spdk-face.ts';

const main = join(import.meta.dirname, '../../soc-daemon/main.ts');
const dataVolume = '70000000-0000-4000-8000-00000000000f';
const mib = 1024 * 1024;
const deadlineMs = 60_000;

interface Instance {
  readonly uuid: string;
  readonly state: string;
  readonly volumes: readonly { readonly function_id: string; readonly boot: boolean; readonly size_bytes: number }[];
}

describe.runIf(havePrograms('the daemon on the SPDK face', facePrograms))(
  'the daemon on SPDK',
  { timeout: 180_000 },
  () => {
    let folder: string;
    let face: TestStorage;
    let spdk: SpdkClient;
    let daemon: ChildProcess;
    let users: DiskUser[];
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'storage-node-'));
      face = await startTestStorage();
      spdk = face.client();
      users = [];
      await mkdir(join(folder, 'images'));
      await writeFile(join(folder, 'images/demo.img'), Buffer.concat([Buffer.alloc(mib, 'I'), Buffer.alloc(7 * mib)]));
      const storage = {
        ...{ kind: 'spdk', socket: face.part.spdk, backing: 'lvols', images_dir: join(folder, 'images') },
        ...{
          volumes_dir: face.part.volumesDir,
          nbd_socket: socket(),
          volumes: { [dataVolume]: { size_bytes: 8 * mib } },
        },
      };
      const config = {
        ...{ profile: 'sim', node: { hostname: 'n1' }, state_dir: 'state', storage },
        log: { level: 'error' },
        catalogue: { subnets: { net1: { cidr: '192.168.77.0/24' } } },
      };
      // YAML is a superset of JSON
      await writeFile(join(folder, 'node.yaml'), JSON.stringify(config));
      daemon = start();
      await ready();
    });
    afterEach(async () => {
      for (const user of users) await user.close();
      await end('SIGTERM');
      await face.close();
      await rm(folder, { recursive: true });
    });

    const socket = (): string => (face.part.front.kind === 'nbd' ? face.part.front.socket : '');
    const start = (): ChildProcess =>
      spawn(process.execPath, [main, '--config', join(folder, 'node.yaml')], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    const end = async (signal: NodeJS.Signals): Promise<void> => {
      if (daemon.exitCode !== null || daemon.signalCode !== null) return;
      const exited = once(daemon, 'exit');
      daemon.kill(signal);
      await exited;
    };
    const call = (method: string, path: string, body?: object): Promise<unknown> =>
      callRest(join(folder, 'state/rest.sock'), method, path, body);
    const until = async (what: string, check: () => Promise<boolean>): Promise<void> => {
      const deadline = performance.now() + deadlineMs;
      while (!(await check().catch(() => false))) {
        if (performance.now() > deadline) throw new Error(`no sign of ${what}`);
        await sleep(50);
      }
    };
    const ready = (): Promise<void> =>
      until('a node that is ready', async () => ((await call('GET', '/readyz')) as { ready: boolean }).ready);
    const instances = async (): Promise<readonly Instance[]> =>
      ((await call('GET', '/v1/instances')) as { instances: Instance[] }).instances;
    const controllers = async (): Promise<readonly string[]> =>
      (await spdk.call(vhost.list, {})).map(({ ctrlr }) => ctrlr).sort();

    async function build(): Promise<Instance> {
      await call('POST', '/v1/instances', {
        ...{ name: 'i1', image: 'demo', flavor: '1c1g', networks: [{ subnet: 'net1' }] },
        volumes: [{ volume_id: dataVolume, bootable: false }],
      });
      await until('the instance', async () => (await instances())[0]?.state === 'active');
      const [instance] = await instances();
      if (!instance) throw new Error('there is no instance');
      return instance;
    }

    it('builds from an image, keeps the disks through every restart, and leaves nothing', async () => {
      const instance = await build();
      const ids = instance.volumes.map((each) => each.function_id).sort();
      expect(await controllers()).toEqual(ids);
      const boot = await useDisk(socket(), instance.volumes.find((each) => each.boot)?.function_id ?? '');
      users.push(boot);
      await boot.run(`read -P ${'I'.charCodeAt(0)} 0 1M`);
      await boot.run('write -P 0x41 1M 1M');

      await face.restart();
      await boot.run('read -P 0x41 1M 1M');
      await until('both disks', async () => (await controllers()).length === 2);

      await end('SIGKILL');
      await face.restart();
      daemon = start();
      await boot.run('read -P 0x41 1M 1M');
      await until('both disks', async () => (await controllers()).length === 2);

      await end('SIGKILL');
      const state = join(folder, 'state');
      for (const name of await readdir(state)) if (name.startsWith('soc-daemon.db')) await rm(join(state, name));
      daemon = start();
      await ready();
      await until('the instance', async () => (await instances()).length === 1);
      expect((await instances())[0]?.uuid).toBe(instance.uuid);
      expect(await controllers()).toEqual(ids);
      await boot.run('read -P 0x41 1M 1M');
      await users.pop()?.close();

      await call('DELETE', `/v1/instances/${instance.uuid}`);
      await until('the end of the instance', async () => (await instances()).length === 0);
      expect(await controllers()).toEqual([]);
      const left = (await spdk.call(bdev.list, {})).map(
        ({ name, aliases }) => aliases.find((each) => each.includes('/')) ?? name,
      );
      expect(left.map((name) => name.replace(/img-.*/, 'img-')).sort()).toEqual([
        'dpu-compute-base',
        'dpu-compute/img-',
        `dpu-compute/vol-${dataVolume}`,
      ]);
    });
  },
);

function callRest(socketPath: string, method: string, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers: { 'content-type': 'application/json' } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
      });
    });
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
