/** The SPDK face as a stranger sees it: every request that was recorded against SPDK v24.01, in its order. */
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { type Exchange, exchanges, rawExchanges } from '../../packages/spdk-client/test/recordings.ts';
import { freePort } from '../../tools/free-port.ts';
import {
  type DiskClient,
  haveStorageDaemon,
  openDisk,
  startTestFace,
  type TestFace,
  until,
} from '../support/face-process.ts';

const DOC = new URL('../../docs/virtual-dpu-storage.md', import.meta.url);

/** Values that are never the same twice: only their kind counts, and whether they are 0. */
const MEASURED = /^(tick_rate|ticks|elapsed|busy|idle|bytes_|num_.*_ops|.*_latency_ticks)/;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Where answers differ from the recording: `method` and the path of the value. */
const differences = new Set<string>();

/** Both sides' names for what the machine chooses. */
interface Names {
  readonly toUs: (text: string) => string;
  readonly plain: (value: unknown) => unknown;
}

describe.skipIf(!haveStorageDaemon())('the SPDK face', () => {
  const faces: TestFace[] = [];
  const disks: DiskClient[] = [];
  const start = async () => {
    const face = await startTestFace();
    faces.push(face);
    return face;
  };
  const open = async (...args: Parameters<typeof openDisk>) => {
    const disk = await openDisk(...args);
    disks.push(disk);
    return disk;
  };
  afterAll(async () => {
    for (const each of disks) await each.close();
    for (const each of faces) await each.stop();
  });

  it('answers the life of a volume and of its disk in a host as recorded', async () => {
    const apps = { nvmf_tgt: await start(), spdk_tgt: await start() };
    const [listening, refused] = [String(await freePort()), String(await freePort())];
    const names = naming(
      [
        ['4421', listening],
        ['4999', refused],
      ],
      { '/run/vdpu/spdk': apps.spdk_tgt.dir },
    );
    const faceOf = ({ app }: Exchange) => (app === 'nvmf_tgt' ? apps.nvmf_tgt : apps.spdk_tgt);
    for (const each of exchanges('lifecycle')) await compare(faceOf(each), each, names);

    const disk = new Map<string, DiskClient>();
    for (const each of exchanges('vhost-qemu')) {
      // what the host did between the recorded requests
      if (each.note === 'with QEMU session') {
        const guest = await open(apps.spdk_tgt, 'pf-blk-0');
        disk.set('pf-blk-0', guest);
        expect(await guest.run('write -P 1 0 4M')).toContain('wrote 4194304');
        expect(await guest.run('read -P 1 0 4M')).toContain('read 4194304');
      }
      if (each.note === 'after the bdev went away') {
        expect(await disk.get('pf-blk-r')?.run('read 0 512')).toContain('Input/output error');
      }
      if (each.note === 'after unplug') {
        await disk.get('pf-blk-0')?.close();
        await free(apps.spdk_tgt, 'pf-blk-0');
      }
      if (each.request.method === 'vhost_get_controllers' && each.request.params === undefined) {
        await disk.get('pf-blk-r')?.close();
        await free(apps.spdk_tgt, 'pf-blk-r');
      }
      await compare(faceOf(each), each, names);
      if (each.request.method === 'bdev_lvol_resize') {
        // a host connects again when it has something to do
        await expect
          .poll(() => apps.spdk_tgt.call('bdev_get_bdevs', { name: 'Nvme-an1' }), { timeout: 10_000 })
          .toMatchObject([{ num_blocks: (56 * 1024 * 1024) / 512 }]);
        expect(await disk.get('pf-blk-0')?.run('read -P 1 0 4M')).toContain('read 4194304');
      }
      if (each.note === 'read-only controller') disk.set('pf-blk-r', await open(apps.spdk_tgt, 'pf-blk-r', true));
    }
  }, 120_000);

  it('forgets everything when it is killed, and is rebuilt, as recorded', async () => {
    const face = await start();
    const image = join(face.dir, 'aio.img');
    await writeFile(image, '');
    await truncate(image, 8 * 1024 * 1024);
    const names = naming([], { '/run/vdpu/spdk/aio.img': image, '/run/vdpu/spdk': face.dir });
    const recorded = exchanges('restart-and-framing');
    let lives = 0;
    let disk: DiskClient | undefined;
    for (const [index, each] of recorded.entries()) {
      if (each.request.method === 'framework_wait_init' && index > 1) {
        lives += 1;
        await face.crash();
      }
      if (each.request.method === 'vhost_get_controllers') disk = await open(face, 'pfb');
      if (each.request.method === 'vhost_delete_controller' && each.note !== 'connected') {
        await disk?.close();
        await free(face, 'pfb');
      }
      await compare(face, each, names);
    }
    expect(lives).toBe(1);
  }, 60_000);

  it('frames as recorded, byte for byte', async () => {
    const face = await start();
    let half = '';
    for (const { request_raw: sent, response_raw: expected } of rawExchanges()) {
      if (expected === null) {
        half = sent;
        continue;
      }
      const socket = connect(face.part.spdk);
      if (half !== '') socket.write(half);
      if (half !== '') await pause(1); // so that the halves may come apart; together they are answered the same
      half = '';
      socket.write(sent);
      const closes = expected === '<EOF>';
      const text = await until(socket, (soFar) => !closes && soFar.length >= expected.length);
      socket.destroy();
      expect(text).toBe(closes ? '' : expected);
    }
  });

  it('differs where the documentation says so, and nowhere else', async () => {
    const rows = (await readFile(DOC, 'utf8')).split('\n').filter((line) => /^\| `[a-z_]+` \| `result/.test(line));
    const documented = rows.map((line) => {
      const [, method = '', path = ''] = line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return `${method} ${path}`;
    });
    expect([...differences].sort()).toEqual(documented.sort());
  });
});

/** Sends a recorded request and notes where the answer differs. What comes by itself a moment later is waited for. */
async function compare(face: TestFace, { request, response, note }: Exchange, names: Names): Promise<void> {
  const text = names.toUs(JSON.stringify(request));
  const expected = names.plain(response);
  const ends = performance.now() + 10_000;
  for (;;) {
    const socket = connect(face.part.spdk);
    socket.write(text);
    const actual = names.plain(JSON.parse(await until(socket, (soFar) => soFar.endsWith('\n'))));
    socket.destroy();
    const found = [...differing(expected, actual, '')].map((path) => `${request.method} ${path}`);
    const waits = note?.includes('AEN') === true && found.length > 0 && performance.now() < ends;
    if (!waits) {
      for (const each of found) differences.add(each);
      return;
    }
    await pause(20);
  }
}

/** The paths of what is not equal; lists that are not equally long are one difference. */
function* differing(expected: unknown, actual: unknown, path: string): Generator<string> {
  if (Array.isArray(expected) && Array.isArray(actual)) {
    if (expected.length !== actual.length) yield path;
    else for (const [index, each] of expected.entries()) yield* differing(each, actual[index], `${path}[]`);
  } else if (isObject(expected) && isObject(actual)) {
    for (const name of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      yield* differing(expected[name], actual[name], path === '' ? name : `${path}.${name}`);
    }
  } else if (!Object.is(expected, actual)) yield path;
}

function naming(texts: readonly (readonly [string, string])[], paths: Readonly<Record<string, string>>): Names {
  const pairs = [...texts, ...Object.entries(paths)];
  const toUs = (text: string) => pairs.reduce((out, [theirs, ours]) => out.replaceAll(theirs, ours), text);
  const toThem = (text: string) => pairs.reduce((out, [theirs, ours]) => out.replaceAll(ours, theirs), text);
  const plain = (value: unknown, name = ''): unknown => {
    if (typeof value === 'number' && MEASURED.test(name)) return value === 0 ? '<zero>' : '<some>';
    if (typeof value === 'string') {
      return toThem(value)
        .replaceAll(UUID, '<uuid>')
        .replaceAll(/\b[0-9A-F]{32}\b/g, '<nguid>');
    }
    if (Array.isArray(value)) return value.map((each) => plain(each));
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([each, content]) => [each, plain(content, each)]));
  };
  return { toUs, plain };
}

/** Waits until no host is connected to a controller: a connection's end is seen a moment later. */
async function free(face: TestFace, name: string): Promise<void> {
  await expect
    .poll(() => face.call('vhost_get_controllers', { name }), { timeout: 10_000 })
    .toMatchObject([{ sessions: [] }]);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
