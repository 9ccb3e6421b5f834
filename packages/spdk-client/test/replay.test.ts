import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createSpdkClient, type SpdkClient } from '../src/client.ts';
import { ErrnoError, InternalError, InvalidParamsError, MethodNotFoundError, RpcError } from '../src/errors.ts';
import { JsonFramer } from '../src/framer.ts';
import { allExchanges, exchanges, rawExchanges } from './recordings.ts';
import { type Cut, type ReplayServer, startRawReplay, startReplay } from './replay-server.ts';

let server: ReplayServer | undefined;
let client: SpdkClient | undefined;
afterEach(async () => {
  client?.close();
  await server?.close();
});

const groups = (['lifecycle', 'vhost-qemu', 'restart-and-framing'] as const).flatMap((name) =>
  [...new Set(exchanges(name).map((each) => each.app))].map((app) => ({ name, app })),
);

describe('the recorded sessions', () => {
  it('are all there', () => {
    expect(allExchanges).toHaveLength(86);
    expect(allExchanges.filter((each) => 'error' in each.response)).toHaveLength(26);
    expect(rawExchanges()).toHaveLength(8);
  });

  it.each(groups.flatMap((group) => (['whole', 'bytes', 'together'] as const).map((cut) => ({ ...group, cut }))))(
    '$name of $app, answers $cut',
    async ({ name, app, cut }: { name: (typeof groups)[number]['name']; app: string; cut: Cut }) => {
      const recorded = exchanges(name, app);
      server = await startReplay(recorded, cut);
      client = createSpdkClient({ address: { path: server.path } });
      const { request } = client;
      const answers = await Promise.all(
        recorded.map((each) =>
          request(each.request.method, each.request.params).then(
            (result) => ({ result }),
            (error: unknown) => {
              if (!(error instanceof RpcError)) throw error;
              return { error: { code: error.rpcCode, message: error.peerMessage } };
            },
          ),
        ),
      );
      expect(answers).toEqual(recorded.map(({ response: { jsonrpc, id, ...rest } }) => rest));
      expect(server.unknown).toEqual([]);
    },
  );

  it.each([
    ['bdev_get_bdevs', { name: 'nosuch' }, ErrnoError, 'rpc-errno'],
    [
      'vhost_create_blk_controller',
      { ctrlr: 'pf-blk-2', dev_name: 'nosuch' },
      InvalidParamsError,
      'rpc-invalid-params',
    ],
    ['vhost_get_controllers', { name: 'nosuch' }, InternalError, 'rpc-internal'],
    ['nosuch_method', { a: 1 }, MethodNotFoundError, 'rpc-method-not-found'],
  ] as const)('%s fails with its class', async (method, params, type, code) => {
    server = await startReplay(exchanges('lifecycle', 'spdk_tgt'));
    client = createSpdkClient({ address: { path: server.path } });
    const error = await client.request(method, params).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ code, method });
    if (error instanceof ErrnoError) expect(error.errno).toBe('ENODEV');
  });
});

describe('the recorded bytes', () => {
  it.each(rawExchanges().filter((each) => each.response_raw?.endsWith('\n') && !each.note.includes('rest')))(
    'are read: $note',
    async ({ request_raw, response_raw }) => {
      server = await startRawReplay(rawExchanges());
      const framer = new JsonFramer();
      const wanted = (response_raw ?? '')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(await exchange(server.path, [request_raw], (chunk) => [...framer.push(chunk)], wanted.length)).toEqual(
        wanted,
      );
    },
  );

  it('are read when a request came in two parts', async () => {
    server = await startRawReplay(rawExchanges());
    const parts = rawExchanges().filter((each) => each.note.includes('partial'));
    const framer = new JsonFramer();
    const socketPath = server.path;
    const got = await exchange(
      socketPath,
      parts.map((each) => each.request_raw),
      (chunk) => [...framer.push(chunk)],
      1,
    );
    expect(got).toMatchObject([{ id: 8, result: { version: 'SPDK v24.01' } }]);
  });

  it('of an answer to a notification poison the stream, which is noticed at the next answer', () => {
    const poison = rawExchanges().find((each) => each.note === 'notification without id')?.response_raw ?? '';
    const next = rawExchanges().find((each) => each.note.startsWith('rest'))?.response_raw ?? '';
    const framer = new JsonFramer();
    expect([...framer.push(Buffer.from(poison))]).toEqual([]);
    expect(() => [...framer.push(Buffer.from(next))]).toThrow('a document begins inside another one');
  });

  it('end when SPDK was sent what is not JSON', async () => {
    server = await startRawReplay(rawExchanges());
    expect(await exchange(server.path, ['{bad json}'], () => [], 1)).toEqual([]);
  });
});

/** Writes the parts one by one and reads until as many documents came, or the server closed. */
function exchange(
  path: string,
  parts: readonly string[],
  read: (chunk: Buffer) => readonly unknown[],
  count: number,
): Promise<readonly unknown[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
  const got: unknown[] = [];
  const socket = connect(path);
  const [first = '', ...rest] = parts;
  socket.once('connect', () => {
    socket.write(first, () => {
      // a server that takes both parts in one read would not have seen a partial request
      setImmediate(() => setImmediate(() => rest.forEach((part) => void socket.write(part))));
    });
  });
  socket.on('data', (chunk) => {
    got.push(...read(chunk));
    if (got.length >= count) socket.destroy();
  });
  socket.once('error', reject);
  socket.once('close', () => resolve(got));
  return promise;
}
