import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DpuError } from '../../core/errors.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import { buildRequest, built, instanceId, openTestStore, operationId, temporaryDirectory } from '../support/store.ts';

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory();
});
afterEach(() => place.remove());

const child = new URL('../support/store-child.ts', import.meta.url).pathname;

/** Everything in a directory but the lock: name -> hash. */
function hashes(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => !name.startsWith('lock.db'));
  return Object.fromEntries(
    names.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex'),
    ]),
  );
}

async function refusal(options: Parameters<typeof openTestStore>[1] = {}): Promise<DpuError> {
  const before = hashes(place.path);
  const error = await openTestStore(place.path, options).then(
    async (store) => {
      await store.close();
      throw new Error('the store opened');
    },
    (reason: unknown) => reason as DpuError,
  );
  expect(hashes(place.path)).toEqual(before);
  expect(error.message).toContain(join(place.path, 'store.db'));
  return error;
}

async function filled(): Promise<string> {
  const store = await openTestStore(place.path);
  for (let n = 1; n <= 40; n += 1) await built(store, n);
  await store.close();
  return join(place.path, 'store.db');
}

describe.each(['inline', 'flushed'] as const)('a process killed at work, %s', (mode) => {
  it('leaves what was answered, sealed, and the store goes on', async () => {
    const killed = spawn(process.execPath, [child, place.path, mode], { stdio: ['ignore', 'inherit', 'inherit'] });
    const [, signal] = await once(killed, 'exit');
    expect(signal).toBe('SIGKILL');
    expect(statSync(join(place.path, 'store.db-wal')).size).toBeGreaterThan(0);
    for (const name of readdirSync(place.path)) {
      expect(readFileSync(join(place.path, name)).includes('clear-text-of-a-secret')).toBe(false);
      expect(statSync(join(place.path, name)).mode & 0o077).toBe(0);
    }
    const store = await openTestStore(place.path, { mode });
    expect(store.getOperation(operationId(1))).toMatchObject({ state: 'running', steps: [{ phase: 'doing' }] });
    expect(await store.readSecret('one')).toBe('clear-text-of-a-secret');
    await store.close();
    expect(readdirSync(place.path).sort()).toEqual(['lock.db', 'store.db']);
  });
});

describe('a store that must not be opened', () => {
  it('is left alone when it is damaged', async () => {
    const file = await filled();
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096 * 3, 4096 * 6);
    writeFileSync(file, bytes);
    expect(await refusal()).toMatchObject({ code: 'internal' });
    expect(await refusal({ mode: 'flushed' })).toMatchObject({ code: 'internal' });
  });

  it('is left alone when it is cut short', async () => {
    const file = await filled();
    writeFileSync(file, readFileSync(file).subarray(0, 4096 * 4 + 100));
    expect(await refusal()).toMatchObject({ code: 'internal' });
  });

  it('is left alone when it is damaged and was not closed, WAL and all', async () => {
    await filled();
    const origin = temporaryDirectory();
    copyFileSync(join(place.path, 'store.db'), join(origin.path, 'store.db'));
    const store = await openTestStore(origin.path);
    await store.accept(buildRequest(41));
    for (const name of ['store.db', 'store.db-wal']) copyFileSync(join(origin.path, name), join(place.path, name));
    await store.close();
    origin.remove();
    const file = join(place.path, 'store.db');
    const bytes = readFileSync(file);
    bytes.fill(0xa5, bytes.length - 4096 * 3);
    writeFileSync(file, bytes);
    expect(await refusal()).toMatchObject({ code: 'internal' });
  });

  it('is left alone when a row holds what cannot be read', async () => {
    const file = await filled();
    const other = new Database(file);
    other.exec(`UPDATE instances SET flavor = replace(flavor, '"', '')`);
    other.close();
    expect(await refusal()).toMatchObject({ code: 'internal' });
  });

  it('is left alone when it is not a database, or another program has made it', async () => {
    const file = join(place.path, 'store.db');
    writeFileSync(file, 'not a database at all, but long enough to have a header '.repeat(100));
    expect(await refusal()).toMatchObject({ code: 'internal' });
    writeFileSync(file, '');
    const other = new Database(file);
    other.pragma('journal_mode = WAL');
    other.exec('CREATE TABLE t (a)');
    other.close();
    expect(await refusal()).toMatchObject({ code: 'bad_state' });
  });

  it('is left alone when a newer program has made it', async () => {
    const file = await filled();
    const newer = new Database(file);
    newer.pragma('user_version = 999');
    newer.close();
    expect(await refusal()).toMatchObject({ code: 'bad_state' });
  });

  it('is refused with another key', async () => {
    await filled();
    expect(await refusal({ key: Buffer.alloc(32, 8) })).toMatchObject({ code: 'denied' });
    const store = await openTestStore(place.path);
    expect(store.liveInstances()).toHaveLength(40);
    await store.close();
  });
});

describe('the guarantees of the schema', () => {
  const copy = (changes: string): string => {
    const columns =
      'id, kind, plan_version, instance, state, request, requested_by, key, fingerprint, created_at, updated_at';
    return `WITH c AS (SELECT ${columns} FROM operations LIMIT 1)
      INSERT INTO operations (${columns}) SELECT ${changes} FROM c`;
  };
  it.each([
    ['two operations of an instance', copy("'x', 'stop', 1, instance, 'stuck', '{}', 'x', NULL, '{}', 0, 0")],
    ['two operations of a key', copy("'x', 'stop', 1, instance, 'failed', '{}', 'x', key, '{}', 0, 0")],
    ['two instances on the host', 'UPDATE instances SET claimed = 1, whole_host = 1'],
  ])('hold against %s', async (_, statement) => {
    const store = await openTestStore(place.path);
    await store.accept(buildRequest(1, { claimsHost: true }));
    const { newInstance } = buildRequest(2);
    if (newInstance) await store.adopt({ ...newInstance, state: 'active', todo: null, generation: 0 }, [], []);
    await store.close();
    const raw = new Database(join(place.path, 'store.db'));
    expect(() => raw.exec(statement)).toThrowError(expect.objectContaining({ code: 'SQLITE_CONSTRAINT_UNIQUE' }));
    raw.close();
  });
});

describe('the state directory', () => {
  it('has one daemon at a time', async () => {
    const store = await openTestStore(place.path);
    await expect(openTestStore(place.path)).rejects.toMatchObject({ code: 'conflict' });
    await store.close();
    await (await openTestStore(place.path)).close();
  });

  it('is made for its owner alone', async () => {
    const state = join(place.path, 'state');
    const store = await openTestStore(state);
    await store.accept(buildRequest(1));
    expect(statSync(state).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(state)) expect(statSync(join(state, name)).mode & 0o777).toBe(0o600);
    await store.close();
  });

  it('may hold the rest of a check that was cut off', async () => {
    await filled();
    mkdirSync(join(place.path, '.store.db.check'));
    writeFileSync(join(place.path, '.store.db.check', 'copy'), 'x');
    const store = await openTestStore(place.path);
    expect(existsSync(join(place.path, '.store.db.check'))).toBe(false);
    await store.close();
  });
});

describe.each(['inline', 'flushed'] as const)('a disk that is full, %s', (mode) => {
  it('rejects what waits and ends the store for good', async () => {
    const failures: DpuError[] = [];
    const store: NodeStore = await openTestStore(place.path, {
      mode,
      maxPages: 60,
      onFailure: (error) => failures.push(error),
    });
    const big = 'x'.repeat(20_000);
    const accepts = Array.from({ length: 40 }, (_, index) => index + 1).map(async (n) => {
      const request = buildRequest(n);
      return store.accept({ ...request, operation: { ...request.operation, request: { big } } });
    });
    const results = await Promise.allSettled(accepts);
    expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
    expect(failures).toHaveLength(1);
    await expect(store.accept(buildRequest(99))).rejects.toMatchObject({ code: 'internal' });
    await store.close();
    const again = await openTestStore(place.path, { mode });
    const kept = results.filter((result) => result.status === 'fulfilled').length;
    expect(again.liveInstances()).toHaveLength(kept);
    expect(again.getInstance(instanceId(40))).toBeNull();
    await again.close();
  });
});

describe('a write that is no data', () => {
  it('fails alone', async () => {
    const failures: DpuError[] = [];
    const store = await openTestStore(place.path, { mode: 'flushed', onFailure: (error) => failures.push(error) });
    const value = (() => {}) as unknown as string;
    await expect(store.setSetting('name', value)).rejects.toMatchObject({ code: 'internal' });
    await store.setSetting('name', 'value');
    expect(failures).toEqual([]);
    await store.close();
  });
});
