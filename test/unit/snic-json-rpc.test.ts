import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { systemClock } from '../../kit/clock.ts';
import { createRpcClient, type RpcClient } from '../../kit/json-rpc/client.ts';
import { createFramer } from '../../kit/json-rpc/framer.ts';
import { createRpcServer, type RpcCall, type RpcServer } from '../../kit/json-rpc/server.ts';
import { rejection } from '../contract/samples.ts';

/** Listens on a socket, accepts nobody, and says so once its queue is full; until its input ends. */
const hanging = `
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(0)
queued = []
try:
    while True:
        each = socket.socket(socket.AF_UNIX)
        each.setblocking(False)
        each.connect(sys.argv[1])
        queued.append(each)
except BlockingIOError:
    print('full', flush=True)
sys.stdin.read()
`;

describe('framer', () => {
  it('cuts any documents anywhere', () => {
    const document = fc.oneof(
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
      fc.array(fc.jsonValue({ maxDepth: 3 })),
    );
    fc.assert(
      fc.property(
        fc.array(document),
        fc.array(fc.nat(40)),
        fc.constantFrom('', ' ', '\r\n'),
        (documents, cuts, between) => {
          const bytes = Buffer.from(documents.map((each) => JSON.stringify(each) + between).join(''));
          const framer = createFramer({ maxBytes: 1_000_000 });
          const found: string[] = [];
          let at = 0;
          for (const cut of cuts) {
            found.push(...framer.push(bytes.subarray(at, at + cut)));
            at += cut;
          }
          found.push(...framer.push(bytes.subarray(at)));
          expect(found).toEqual(documents.map((each) => JSON.stringify(each)));
          expect(framer.open).toBe(false);
        },
      ),
    );
  });

  it('keeps no more than it may', () => {
    const fits = `{"a":"${'x'.repeat(20)}"}`;
    expect(createFramer({ maxBytes: fits.length }).push(Buffer.from(fits + fits))).toHaveLength(2);
    expect(() => createFramer({ maxBytes: fits.length - 1 }).push(Buffer.from(fits))).toThrow(DpuError);
    const slowly = createFramer({ maxBytes: 10 });
    expect(() => {
      for (const byte of Buffer.from(fits)) slowly.push(Buffer.from([byte]));
    }).toThrow('larger than 10 bytes');
    expect(() => createFramer({ maxBytes: 1000, maxDepth: 3 }).push(Buffer.from('[[[['))).toThrow('deeper than 3');
    expect(() => createFramer({ maxBytes: 1000 }).push(Buffer.from('{} x'))).toThrow('brace');
  });
});

describe('server and client', () => {
  let folder: string;
  let path: string;
  let server: RpcServer;
  let client: RpcClient;
  let calls: RpcCall[];
  const gates = new Map<string, () => void>();

  const serve = (): RpcServer =>
    createRpcServer({
      maxBytes: 2000,
      maxInFlight: 2,
      errorOf: (error) => ({ code: -32000, message: error instanceof Error ? error.message : 'no error' }),
      handle: async (call) => {
        calls.push(call);
        if (call.method === 'fail') throw new Error('as ordered');
        if (call.method === 'notify') call.connection.notify('news', { a: 1 });
        if (call.method === 'wait') {
          const { name } = call.params as { name: string };
          await new Promise<void>((resolve, reject) => {
            gates.set(name, resolve);
            call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true });
          });
        }
        return { echo: call.method };
      },
    });
  const clientOf = (more: Partial<Parameters<typeof createRpcClient>[0]> = {}): RpcClient =>
    createRpcClient({ path, peer: 'the server', clock: systemClock, timeoutMs: 20_000, ...more });

  /** What comes back for raw bytes, until the server ends the connection. */
  const raw = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let said = '';
      const socket = connect(path, () => socket.end(text));
      socket.on('data', (chunk) => {
        said += chunk.toString();
      });
      socket.on('close', () => resolve(said));
      socket.on('error', reject);
    });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rpc-'));
    path = join(folder, 's');
    calls = [];
    gates.clear();
    server = serve();
    await server.listen({ path, mode: 0o660, gid: null });
    client = clientOf();
  });
  afterEach(async () => {
    client.close();
    await server.close(0);
    rmSync(folder, { recursive: true });
  });

  it('answers, in whatever order the calls end', async () => {
    const ended: string[] = [];
    const first = client.call('wait', { name: 'first' }).then(() => ended.push('first'));
    await client.call('quick', {}).then(() => ended.push('second'));
    gates.get('first')?.();
    await first;
    expect(ended).toEqual(['second', 'first']);
    await expect(client.call('fail', {})).rejects.toMatchObject({ code: -32000, message: 'as ordered' });
  });

  it('takes more than it runs at once', async () => {
    const all = Array.from({ length: 10 }, (_, index) => client.call('quick', { index }));
    expect(await Promise.all(all)).toHaveLength(10);
  });

  it('serves a tool that sends a request and closes its end', async () => {
    const said = await raw('{"jsonrpc":"2.0","id":1,"method":"a"}{"jsonrpc":"2.0","id":"x","method":"b"}');
    expect(
      said
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { jsonrpc: '2.0', id: 1, result: { echo: 'a' } },
      { jsonrpc: '2.0', id: 'x', result: { echo: 'b' } },
    ]);
  });

  it.each([
    ['nonsense', 'nonsense', -32700, null],
    ['broken JSON', '{"a":}', -32700, null],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"a"}]', -32600, null],
    ['version 1', '{"id":3,"method":"a"}', -32600, 3],
    ['no method', '{"jsonrpc":"2.0","id":3}', -32600, 3],
    ['params that are none', '{"jsonrpc":"2.0","id":3,"method":"a","params":3}', -32600, 3],
    ['too much', `{"jsonrpc":"2.0","id":3,"method":"${'a'.repeat(3000)}"}`, -32700, null],
  ])('refuses %s', async (_what, text, code, id) => {
    expect(JSON.parse(await raw(text))).toMatchObject({ id, error: { code } });
    expect(calls).toEqual([]);
  });

  it('answers no notification', async () => {
    expect(await raw('{"jsonrpc":"2.0","method":"a"}')).toBe('');
    expect(calls).toHaveLength(1);
  });

  it('takes a call back that is aborted or too late', async () => {
    const abort = new AbortController();
    const waiting = client.call('wait', { name: 'a' }, { signal: abort.signal });
    await expect.poll(() => calls.length).toBe(1);
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect.poll(() => calls[0]?.signal.aborted).toBe(true);
    await rejection(client.call('wait', { name: 'b' }, { timeoutMs: 1 }), 'timeout');
    await expect.poll(() => calls[1]?.signal.aborted).toBe(true);
    await expect(client.call('a', {}, { signal: abort.signal })).rejects.toBe(reason);
    expect(calls).toHaveLength(2);
  });

  it('hears notifications, and connects anew after a restart', async () => {
    const heard: unknown[] = [];
    let lost = 0;
    const listening = clientOf({
      onNotification: (...news) => heard.push(news),
      onDisconnect: () => {
        lost += 1;
      },
    });
    await listening.call('notify', {});
    expect(heard).toEqual([['news', { a: 1 }]]);
    const waiting = listening.call('wait', { name: 'a' });
    await expect.poll(() => calls.length).toBe(2);
    const refused = expect(waiting).rejects.toThrow();
    await server.close(0);
    await refused;
    await rejection(listening.call('a', {}), 'unavailable');
    server = serve();
    await server.listen({ path, mode: 0o660, gid: null });
    expect(await listening.call('a', {})).toEqual({ echo: 'a' });
    expect(lost).toBe(1);
    listening.close();
    await rejection(listening.call('a', {}), 'unavailable');
  });

  it('ends in good order: what runs is answered, and an idle connection does not hold it up', async () => {
    const idle = clientOf();
    await idle.call('a', {});
    const waiting = client.call('wait', { name: 'a' });
    await expect.poll(() => gates.has('a')).toBe(true);
    const closing = server.close(3_600_000);
    gates.get('a')?.();
    expect(await waiting).toEqual({ echo: 'wait' });
    await closing;
  });

  it('lets only the right ones in, and leaves the socket of another alone', async () => {
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await rejection(serve().listen({ path, mode: 0o600, gid: null }), 'conflict');
    expect(await client.call('a', {})).toEqual({ echo: 'a' });
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await rejection(serve().listen({ path: file, mode: 0o600, gid: null }), 'conflict');
    await rejection(serve().listen({ path: join(folder, 'x'.repeat(200)), mode: 0o600, gid: null }), 'invalid');
  });

  it('takes no socket from a program that has no time to answer', async () => {
    const busy = join(folder, 'busy.sock');
    const hangs = spawn('/usr/bin/python3', ['-c', hanging, busy], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(hangs.stdout, 'data');
      await rejection(serve().listen({ path: busy, mode: 0o600, gid: null }), 'conflict');
      expect(statSync(busy).isSocket()).toBe(true);
    } finally {
      hangs.stdin.end();
      await once(hangs, 'close');
    }
  });
});
