import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSpdkClient, type SpdkClient, type SpdkClientOptions } from '../src/client.ts';
import {
  ClosedError,
  ConnectionLostError,
  InvalidRequestError,
  LimitError,
  ProtocolError,
  RequestTimeoutError,
  RpcError,
  UnexpectedResultError,
} from '../src/errors.ts';
import { JsonFramer } from '../src/framer.ts';
import { iscsi } from '../src/methods/bdev.ts';
import { framework } from '../src/methods/framework.ts';
import { scrub } from '../src/scrub.ts';
import { listen } from './replay-server.ts';

type Request = { readonly id: number; readonly method: string; readonly params?: unknown };

/** A server whose answers each test writes. */
class Scripted {
  readonly requests: Request[] = [];
  #waiting: ((request: Request) => void)[] = [];
  socket: Socket | undefined;
  /** Written to each connection at once. */
  banner = '';
  #server: Awaited<ReturnType<typeof listen>> | undefined;
  path = '';

  async start(at?: string): Promise<void> {
    this.#server = await listen((socket) => {
      this.socket = socket;
      if (this.banner !== '') socket.write(this.banner);
      const framer = new JsonFramer();
      socket.on('data', (chunk) => {
        for (const each of framer.push(chunk)) {
          this.requests.push(each as Request);
          this.#waiting.shift()?.(each as Request);
        }
      });
    }, at);
    this.path = this.#server.path;
  }

  /** The next request to come. */
  next(): Promise<Request> {
    const { promise, resolve } = Promise.withResolvers<Request>();
    this.#waiting.push(resolve);
    return promise;
  }

  send(document: unknown): void {
    this.socket?.write(typeof document === 'string' ? document : JSON.stringify(document));
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

let server: Scripted;
let clients: SpdkClient[] = [];
beforeEach(async () => {
  server = new Scripted();
  await server.start();
});
afterEach(async () => {
  for (const each of clients) each.close();
  clients = [];
  await server.stop();
});

function makeClient(options: Partial<SpdkClientOptions> = {}): SpdkClient {
  const client = createSpdkClient({ address: { path: server.path }, backoff: { baseMs: 1, maxMs: 5 }, ...options });
  clients.push(client);
  return client;
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

function event<K extends 'connected' | 'disconnected' | 'dropped' | 'connectFailed'>(client: SpdkClient, name: K) {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const off = client.on(name, (value) => {
    off();
    resolve(value);
  });
  return promise;
}

describe('a call', () => {
  it('is answered by its id, in whatever order answers come', async () => {
    const client = makeClient();
    const first = server.next();
    const second = server.next();
    const a = client.request('a');
    const b = client.request('b', { x: 1 });
    const [{ id: idA }, { id: idB }] = await Promise.all([first, second]);
    server.send({ jsonrpc: '2.0', id: idB, result: 'B' });
    server.send({ jsonrpc: '2.0', id: idA, result: 'A' });
    expect(await Promise.all([a, b])).toEqual(['A', 'B']);
    expect(server.requests).toEqual([
      { jsonrpc: '2.0', method: 'a', id: idA },
      { jsonrpc: '2.0', method: 'b', id: idB, params: { x: 1 } },
    ]);
  });

  it('ends at its deadline, and the late answer is dropped', async () => {
    const client = makeClient();
    await event(client, 'connected');
    const got = server.next();
    const slow = failure(client.request('slow', undefined, { timeoutMs: 20 }));
    const { id } = await got;
    const error = await slow;
    expect(error).toBeInstanceOf(RequestTimeoutError);
    expect(error).toMatchObject({ code: 'timeout', sent: true });
    const dropped = event(client, 'dropped');
    server.send({ jsonrpc: '2.0', id, result: true });
    expect(await dropped).toEqual({ id, late: true });
    const next = server.next();
    const fine = client.request('fine');
    server.send({ jsonrpc: '2.0', id: (await next).id, result: 1 });
    expect(await fine).toBe(1);
  });

  it('says that it was not sent when there was no connection', async () => {
    await server.stop();
    const client = makeClient();
    const error = await failure(client.request('x', undefined, { timeoutMs: 20 }));
    expect(error).toMatchObject({ code: 'timeout', sent: false });
  });

  it('ends with the reason of its signal', async () => {
    const client = makeClient();
    const abort = new AbortController();
    const got = server.next();
    const call = failure(client.request('x', undefined, { signal: abort.signal }));
    await got;
    const reason = new Error('enough');
    abort.abort(reason);
    expect(await call).toBe(reason);
    expect(await failure(client.request('y', undefined, { signal: abort.signal }))).toBe(reason);
    expect(server.requests.map((each) => each.method)).toEqual(['x']);
  });

  it('takes an error with id null for its own when it is the only one', async () => {
    const client = makeClient();
    const got = server.next();
    const call = failure(client.request('x'));
    await got;
    server.send({ jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid request' } });
    expect(await call).toBeInstanceOf(InvalidRequestError);
  });

  it('does not take it when there is another', async () => {
    const client = makeClient();
    const got = [server.next(), server.next()];
    const calls = [client.request('x'), client.request('y')];
    const ids = (await Promise.all(got)).map((each) => each.id);
    const dropped = event(client, 'dropped');
    server.send({ jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid request' } });
    expect(await dropped).toEqual({ id: null, late: false });
    for (const id of ids) server.send({ jsonrpc: '2.0', id, result: id });
    expect(await Promise.all(calls)).toEqual(ids);
  });

  it('fails when the result is not of the known shape', async () => {
    const client = makeClient();
    const got = server.next();
    const call = failure(client.call(framework.version));
    server.send({ jsonrpc: '2.0', id: (await got).id, result: { version: 24 } });
    expect(await call).toBeInstanceOf(UnexpectedResultError);
  });

  it('shows no secret when SPDK repeats it', async () => {
    const client = makeClient();
    const got = server.next();
    const url = 'iscsi://user%hunter2@192.0.2.1/iqn.x/0';
    const call = failure(client.call(iscsi.create, { name: 'd', initiator_iqn: 'iqn.me', url }));
    const message = `cannot log in to ${url} with iscsi://user%hunter2@other`;
    server.send({ jsonrpc: '2.0', id: (await got).id, error: { code: -22, message } });
    const error = await call;
    expect(error).toBeInstanceOf(RpcError);
    expect(scrub('no such key: SecretKey==', { config_param: { key: 'SecretKey==' } })).toBe('no such key: ***');
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('hunter2');
  });
});

describe('limits', () => {
  it('keeps requests back while as many as allowed are under way', async () => {
    const client = makeClient({ maxInFlight: 2 });
    const got = [server.next(), server.next(), server.next()];
    const calls = ['a', 'b', 'c'].map((each) => client.request(each));
    const first = await got[0];
    await got[1];
    expect(server.requests).toHaveLength(2);
    server.send({ jsonrpc: '2.0', id: first?.id, result: 1 });
    expect(await calls[0]).toBe(1);
    expect(await got[2]).toMatchObject({ method: 'c' });
    client.close();
    expect(await failure(calls[1] ?? Promise.resolve())).toBeInstanceOf(ClosedError);
    expect(await failure(calls[2] ?? Promise.resolve())).toBeInstanceOf(ClosedError);
  });

  it('never sends what was given up before its turn', async () => {
    const client = makeClient({ maxInFlight: 1 });
    const got = server.next();
    const first = client.request('first');
    const { id } = await got;
    expect(await failure(client.request('never', undefined, { timeoutMs: 10 }))).toMatchObject({ sent: false });
    const next = server.next();
    const last = client.request('last');
    server.send({ jsonrpc: '2.0', id, result: 1 });
    await first;
    server.send({ jsonrpc: '2.0', id: (await next).id, result: 2 });
    await last;
    expect(server.requests.map((each) => each.method)).toEqual(['first', 'last']);
  });

  it('refuses more than may wait, and what is too long', async () => {
    await server.stop();
    const client = makeClient({ maxQueued: 1, maxRequestBytes: 200 });
    expect(await failure(client.request('x', { a: 'y'.repeat(200) }))).toBeInstanceOf(LimitError);
    const waits = failure(client.request('a'));
    expect(await failure(client.request('b'))).toBeInstanceOf(LimitError);
    client.close();
    expect(await waits).toBeInstanceOf(ClosedError);
    expect(await failure(client.request('c'))).toBeInstanceOf(ClosedError);
  });

  it('drops a connection whose answer is too long', async () => {
    const client = makeClient({ maxResponseBytes: 100 });
    const got = server.next();
    const call = failure(client.request('x'));
    await got;
    const disconnected = event(client, 'disconnected');
    server.send({ jsonrpc: '2.0', id: 1, result: 'y'.repeat(200) });
    expect(await call).toBeInstanceOf(ConnectionLostError);
    expect(await disconnected).toMatchObject({ error: { code: 'protocol' } });
  });
});

describe('a connection', () => {
  it.each([
    ['garbage', 'HTTP/1.1 400 Bad Request\r\n'],
    ['a document that is no response', '[1,2]'],
    [
      'an answer without its last brace, and the next',
      '{"jsonrpc":"2.0","id":null,"result":{}\n{"jsonrpc":"2.0","id":1,"result":1}',
    ],
  ])('is made anew after %s', async (_what, bytes) => {
    const client = makeClient();
    await event(client, 'connected');
    const got = server.next();
    const call = failure(client.request('x'));
    await got;
    const disconnected = event(client, 'disconnected');
    const again = event(client, 'connected');
    server.send(bytes);
    const error = await call;
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).cause).toBeInstanceOf(ProtocolError);
    expect(await disconnected).toMatchObject({ error: { code: 'protocol' } });
    expect(await again).toEqual({ again: true });
    const next = server.next();
    const fine = client.request('y');
    server.send({ jsonrpc: '2.0', id: (await next).id, result: 2 });
    expect(await fine).toBe(2);
  });

  it('that dies in the middle of an answer loses what was sent, and keeps what was not', async () => {
    const client = makeClient({ maxInFlight: 1 });
    const got = server.next();
    const sent = failure(client.request('sent'));
    const unsent = client.request('unsent');
    await got;
    const next = server.next();
    server.socket?.end('{"jsonrpc":"2.0","id":1,"resul');
    expect(await sent).toBeInstanceOf(ConnectionLostError);
    const { id, method } = await next;
    expect(method).toBe('unsent');
    server.send({ jsonrpc: '2.0', id, result: 'ok' });
    expect(await unsent).toBe('ok');
  });

  it('comes back when SPDK was away', async () => {
    const path = `${server.path}.later`;
    const client = makeClient({ address: { path } });
    await event(client, 'connectFailed');
    expect(client.state).toBe('connecting');
    const later = new Scripted();
    const connected = event(client, 'connected');
    await later.start(path);
    expect(await connected).toEqual({ again: false });
    expect(client.state).toBe('connected');
    client.close();
    expect(client.state).toBe('closed');
    await later.stop();
  });

  it('waits longer each time that it breaks before an answer', async () => {
    const waits: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    server.banner = 'garbage';
    const client = makeClient({ backoff: { baseMs: 2, maxMs: 8 }, random: () => 0.999 });
    client.on('disconnected', ({ retryInMs }) => {
      waits.push(retryInMs);
      if (waits.length === 4) resolve();
    });
    await promise;
    expect(waits.slice(0, 4)).toEqual([1, 3, 7, 7]);
  });

  it('waits longer with each failure', async () => {
    await server.stop();
    const waits: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = makeClient({ backoff: { baseMs: 2, maxMs: 8 }, random: () => 0.999 });
    client.on('connectFailed', ({ retryInMs }) => {
      waits.push(retryInMs);
      if (waits.length === 4) resolve();
    });
    await promise;
    expect(waits.slice(0, 4)).toEqual([1, 3, 7, 7]);
  });

  it('goes over TCP too', async () => {
    const tcp = createServer((socket) => {
      socket.once('data', () => socket.end('{"jsonrpc":"2.0","id":1,"result":"over TCP"}'));
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address() as AddressInfo;
    const client = makeClient({ address: { host: '127.0.0.1', port } });
    expect(await client.request('x')).toBe('over TCP');
    client.close();
    await new Promise((resolve) => tcp.close(resolve));
  });
});
