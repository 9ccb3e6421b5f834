import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { createSpdkClient, type SpdkClient } from '../src/client.ts';
import type { Method } from '../src/method.ts';
import { aio, bdev, iscsi, malloc } from '../src/methods/bdev.ts';
import { framework } from '../src/methods/framework.ts';
import { lvol } from '../src/methods/lvol.ts';
import { keyring, nvme } from '../src/methods/nvme.ts';
import { nvmf } from '../src/methods/nvmf.ts';
import { rbd } from '../src/methods/rbd.ts';
import { notify, vfu, vhost } from '../src/methods/vhost.ts';
import { notifications } from '../src/notifications.ts';
import { snapGeneration } from '../src/snap/generation.ts';
import { snap3 } from '../src/snap/snap3.ts';
import { snap4 } from '../src/snap/snap4.ts';
import { snap4Common } from '../src/snap/snap4-common.ts';
import { snap4Early } from '../src/snap/snap4-early.ts';
import { allExchanges, type Exchange, exchanges } from './recordings.ts';
import { type ReplayServer, startReplay } from './replay-server.ts';

const groups = {
  ...{ framework, bdev, malloc, aio, iscsi, rbd, nvme, keyring, lvol, vhost, vfu, notify, nvmf },
  ...{ snap3, snap4, snap4Common, snap4Early },
};
const methods: readonly Method<unknown, unknown>[] = Object.values(groups).flatMap(
  (group) => Object.values(group) as Method<unknown, unknown>[],
);
const results = allExchanges.filter((each) => 'result' in each.response);

let server: ReplayServer | undefined;
let client: SpdkClient | undefined;
afterEach(async () => {
  client?.close();
  await server?.close();
});

describe('typed methods', () => {
  it('are each there once', () => {
    const names = methods.map((each) => each.name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('take every recorded result of theirs', () => {
    const byName = new Map(methods.map((each) => [each.name, each]));
    const unknown = new Set<string>();
    for (const { request, response } of results) {
      const method = byName.get(request.method);
      if (method === undefined) unknown.add(request.method);
      else expect(method.check(response.result), request.method).toBe(true);
    }
    expect([...unknown]).toEqual([]);
  });

  it('that were not met are those that docs/hardware.md lists', () => {
    const met = new Set(results.map((each) => each.request.method));
    const page = readFileSync(new URL('../../../docs/hardware.md', import.meta.url), 'utf8');
    const section = page.split(/^## /m).find((each) => each.startsWith('SPDK and SNAP')) ?? '';
    const listed = [...section.matchAll(/^- .*$/gm)].flatMap(([line]) =>
      [...line.matchAll(/`(\w+)`/g)].map((m) => m[1]),
    );
    expect(listed.toSorted()).toEqual(
      methods
        .map((each) => each.name)
        .filter((each) => !met.has(each))
        .toSorted(),
    );
  });

  it('without parameters send none', async () => {
    server = await startReplay(exchanges('lifecycle', 'spdk_tgt'));
    client = createSpdkClient({ address: { path: server.path } });
    expect((await client.call(framework.version)).fields).toMatchObject({ major: 24, minor: 1 });
    expect(await client.call(nvme.controllers)).toHaveLength(1);
    expect(server.unknown).toEqual([]);
  });
});

describe('snapGeneration', () => {
  it.each([
    [['emulation_functions_list', 'controller_list'], 'snap-3'],
    [['emulation_function_list', 'nvme_emulation_device_attach'], 'snap-4-early'],
    [['emulation_function_list', 'nvme_function_create'], 'snap-4'],
    [['emulation_function_list', 'virtio_blk_function_create'], 'snap-4'],
  ])('%o is %s', (names, generation) => {
    expect(snapGeneration(names)).toBe(generation);
  });

  it('is undefined for the recorded SPDK', () => {
    const listed = allExchanges.find((each) => each.request.method === 'rpc_get_methods')?.response.result;
    expect(snapGeneration(listed as readonly string[])).toBeUndefined();
  });
});

describe('notifications', () => {
  const answer = (id: number, ids: readonly number[]): Exchange => ({
    app: '',
    note: null,
    request: { method: 'notify_get_notifications', id: 0, params: { id, max: 128 } },
    response: { jsonrpc: '2.0', result: ids.map((each) => ({ type: 'bdev_register', ctx: `b${each}`, id: each })) },
  });

  it('are read in order, with the loss of the ring, until the signal aborts', async () => {
    server = await startReplay([answer(0, [3, 4]), answer(5, []), answer(5, [5]), answer(6, [9]), answer(10, [])]);
    client = createSpdkClient({ address: { path: server.path } });
    const abort = new AbortController();
    const seen: unknown[] = [];
    for await (const { id, lost } of notifications(client, { idleMs: 1, signal: abort.signal })) {
      seen.push([id, lost]);
      if (id === 9) abort.abort();
    }
    expect(seen).toEqual([
      [3, 0],
      [4, 0],
      [5, 0],
      [9, 3],
    ]);
  });
});
