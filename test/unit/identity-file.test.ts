/** `dpuctl identity import`, and what a first start makes of it. */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { lockState } from '../../kit/state-lock.ts';
import { run } from '../../soc-daemon/cli/run.ts';
import { settleIdentity } from '../../soc-daemon/service/identity.ts';
import { checkNames, readImportedIdentity } from '../../soc-daemon/service/identity-file.ts';
import { startSimNode } from '../support/sim-node.ts';

let dir: string;
let file: string;
const identity = {
  version: 1,
  uuid: randomUUID(),
  hostname: 'sim-node',
  host_nqn: 'nqn.2014-08.org.nvmexpress:uuid:one',
  initiator_iqn: null,
  bios_baseline: { settings: { SlotPower: true }, at: '2026-11-21T05:00:00.000Z' },
  store_key: 'ab'.repeat(32),
  exported_at: '2026-11-21T05:00:00.000Z',
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'identity-'));
  file = join(dir, 'identity.json');
  await writeFile(file, JSON.stringify(identity), { mode: 0o600 });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function dpuctl(...words: readonly string[]): Promise<{ readonly code: number; readonly stderr: string }> {
  let stderr = '';
  const code = await run([...words], {
    env: {},
    stdout: () => undefined,
    stderr: (text) => {
      stderr += text;
    },
    terminal: false,
    signal: new AbortController().signal,
    console: { onInput: () => () => undefined, write: () => undefined, raw: () => undefined },
  });
  return { code, stderr };
}
const lay = () => dpuctl('identity', 'import', file, '--state-dir', join(dir, 'state'));

/** A node that ran on the state directory, with an instance or none. */
async function ran(withInstance: boolean): Promise<void> {
  const world = createSimWorld({ clock: systemClock, random: systemRandom, store: memoryWorldStore(), options: {} });
  const node = await startSimNode({ world, dir: join(dir, 'state') });
  if (withInstance) {
    const request = { name: 'one', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
    const { id } = await node.service.submit('build_and_run_instance', request, { by: 'test' });
    await node.service.waitForEnd(id);
  }
  await node.stop();
}

it('lays an identity in with the key, for the owner alone, and a first start takes it', async () => {
  expect(await lay()).toMatchObject({ code: 0 });
  expect(await readFile(join(dir, 'state/store.key'), 'utf8')).toBe(`${identity.store_key}\n`);
  for (const name of ['identity.import', 'store.key']) {
    expect((await stat(join(dir, 'state', name))).mode & 0o777, name).toBe(0o600);
  }
  const imported = readImportedIdentity(join(dir, 'state'));
  expect(imported).not.toHaveProperty('store_key');
  const world = createSimWorld({ clock: systemClock, random: systemRandom, store: memoryWorldStore(), options: {} });
  const kept: unknown[] = [];
  const parts = {
    store: { identity: () => null, setIdentity: async (each: unknown) => void kept.push(each) },
    snic: world.snic,
    random: systemRandom,
    clock: systemClock,
    log: { debug() {}, info() {}, warn() {}, error() {}, child: () => parts.log } as never,
    imported,
  };
  await settleIdentity({ ...parts, configured: { hostname: 'sim-node' } });
  expect(kept).toEqual([{ uuid: identity.uuid, hostname: 'sim-node' }]);
  await expect(settleIdentity({ ...parts, configured: { hostname: 'another' } })).rejects.toMatchObject({
    code: 'conflict',
    field: 'node.hostname',
  });
  await expect(
    settleIdentity({ ...parts, configured: { hostname: 'sim-node', uuid: randomUUID() } }),
  ).rejects.toMatchObject({ code: 'conflict', field: 'node.uuid' });
  expect(() => checkNames({ storage: { initiator_iqn: 'iqn.x' } }, imported)).toThrow(
    expect.objectContaining({ code: 'conflict', field: 'storage.host_nqn' }),
  );
  checkNames({ storage: { initiator_iqn: 'iqn.x', host_nqn: identity.host_nqn } }, imported);
});

it('takes the place of an identity that a start made by mistake, while its store is empty', async () => {
  await ran(false);
  expect(await lay()).toMatchObject({ code: 0 });
  await expect(stat(join(dir, 'state/soc-daemon.db'))).rejects.toMatchObject({ code: 'ENOENT' });
});

it('leaves a store with instances as it is', async () => {
  await ran(true);
  const before = await readFile(join(dir, 'state/soc-daemon.db'));
  expect(await lay()).toMatchObject({ code: 1, stderr: expect.stringContaining('has instances or operations') });
  expect(await readFile(join(dir, 'state/soc-daemon.db'))).toEqual(before);
  expect(readImportedIdentity(join(dir, 'state'))).toBeNull();
});

it('is refused while the daemon runs, and where the file is not private or not one of ours', async () => {
  await lay();
  const lock = lockState(join(dir, 'state'));
  expect(await lay()).toMatchObject({ code: 1, stderr: expect.stringContaining('stop soc-daemon first') });
  lock.release();
  await chmod(file, 0o644);
  expect(await lay()).toMatchObject({ code: 2, stderr: expect.stringContaining('chmod 600') });
  await chmod(file, 0o600);
  await writeFile(file, JSON.stringify({ ...identity, uuid: 'none' }));
  expect(await lay()).toMatchObject({ code: 2, stderr: expect.stringContaining('holds no identity') });
  await writeFile(join(dir, 'state/identity.import'), '{}', { mode: 0o600 });
  expect(() => readImportedIdentity(join(dir, 'state'))).toThrow(expect.objectContaining({ code: 'invalid' }));
});
