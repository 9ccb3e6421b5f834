import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSealer } from '../../kit/seal.ts';
import { loadStoreKey } from '../../soc-daemon/store/key.ts';
import { temporaryDirectory } from '../support/store.ts';

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory();
});
afterEach(() => place.remove());

const hex = 'ab'.repeat(32);

it('makes a private key at first start and finds it again', () => {
  const stateDir = join(place.path, 'state');
  const key = loadStoreKey({ stateDir, credentialsDirectory: undefined });
  expect(key).toHaveLength(32);
  expect(statSync(join(stateDir, 'store.key')).mode & 0o777).toBe(0o600);
  expect(loadStoreKey({ stateDir })).toEqual(key);
});

it('leaves nothing but the whole key, also where a start was killed while it made one', () => {
  writeFileSync(join(place.path, `store.key.${process.pid}`), 'ab', { mode: 0o600 });
  const key = loadStoreKey({ stateDir: place.path });
  expect(key).toHaveLength(32);
  expect(readdirSync(place.path)).toEqual(['store.key']);
});

it('takes the credential before the key file, and the key file before its own', () => {
  const credentialsDirectory = join(place.path, 'credentials');
  const keyFile = join(place.path, 'key');
  mkdirSync(credentialsDirectory);
  writeFileSync(keyFile, Buffer.alloc(32, 1), { mode: 0o600 });
  expect(loadStoreKey({ stateDir: place.path, keyFile, credentialsDirectory })).toEqual(Buffer.alloc(32, 1));
  writeFileSync(join(credentialsDirectory, 'store-key'), `${hex}\n`, { mode: 0o440 });
  expect(loadStoreKey({ stateDir: place.path, keyFile, credentialsDirectory })).toEqual(Buffer.from(hex, 'hex'));
  expect(readdirSync(place.path).sort()).toEqual(['credentials', 'key']);
});

it('refuses a key that others may read, is none, or is missing', () => {
  const keyFile = join(place.path, 'key');
  const load = (): Buffer => loadStoreKey({ stateDir: place.path, keyFile });
  expect(load).toThrowError(expect.objectContaining({ code: 'not_found' }));
  writeFileSync(keyFile, 'short', { mode: 0o600 });
  expect(load).toThrowError(expect.objectContaining({ code: 'invalid' }));
  writeFileSync(keyFile, hex);
  chmodSync(keyFile, 0o640);
  expect(load).toThrowError(expect.objectContaining({ code: 'denied' }));
});

it('opens a sealed text with its key and id alone', () => {
  const sealer = createSealer(Buffer.alloc(32, 1));
  const sealed = sealer.seal('id', 'text');
  expect(sealer.open('id', sealed)).toBe('text');
  expect(sealer.seal('id', 'text')).not.toEqual(sealed);
  const denied = expect.objectContaining({ code: 'denied' });
  expect(() => sealer.open('other', sealed)).toThrowError(denied);
  expect(() => createSealer(Buffer.alloc(32, 2)).open('id', sealed)).toThrowError(denied);
});
