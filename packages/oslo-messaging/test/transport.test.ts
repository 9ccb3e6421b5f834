import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startRabbit, type TestRabbit } from '../../../test/support/rabbitmq.ts';
import { freePort } from '../../../tools/free-port.ts';
import { backoffDelay } from '../src/backoff.ts';
import {
  ClosedError,
  ConnectionLostError,
  createRpcClient,
  createRpcServer,
  createTransport,
  type Transport,
} from '../src/index.ts';
import { type Relay, startRelay } from './relay.ts';
import { haveStock } from './support.ts';

describe('backoffDelay', () => {
  it('has full jitter below a growing, bounded ceiling', () => {
    const top = (attempt: number) => backoffDelay(attempt, { baseMs: 100, maxMs: 1000 }, () => 0.999999);
    expect([0, 1, 2, 3, 4, 9999].map(top)).toEqual([99, 199, 399, 799, 999, 999]);
    expect(backoffDelay(5, {}, () => 0)).toBe(0);
  });
});

describe.skipIf(!haveStock())('transport', () => {
  let rabbit: TestRabbit;
  let relay: Relay;
  const open: Transport[] = [];

  beforeAll(async () => {
    rabbit = await startRabbit();
    relay = await startRelay(rabbit.port);
  });
  afterEach(async () => {
    relay.deaf = false;
    for (const transport of open.splice(0)) await transport.close();
  });
  afterAll(async () => {
    await relay?.stop();
    await rabbit?.stop();
  });

  function transportTo(...ports: number[]): Transport {
    const hosts = ports.map((port) => `${rabbit.user}:${rabbit.password}@127.0.0.1:${port}`);
    const transport = createTransport({ url: `rabbit://${hosts.join(',')}/`, backoff: { baseMs: 10, maxMs: 50 } });
    open.push(transport);
    return transport;
  }

  it('goes round the hosts until one answers, without an exception for those that do not', async () => {
    const dead = await freePort();
    const transport = transportTo(dead, relay.port);
    const errors: unknown[] = [];
    transport.on('error', (error) => errors.push(error));
    const connected = Promise.withResolvers<number>();
    transport.on('connected', ({ port }) => connected.resolve(port));
    expect(transport.state).toBe('connecting');
    expect(await connected.promise).toBe(relay.port);
    expect(transport.state).toBe('connected');
    expect(errors).toMatchObject([{ code: 'ECONNREFUSED' }]);
  });

  it('connects again after a loss and tells both', async () => {
    const transport = transportTo(relay.port);
    await transport.connection(AbortSignal.timeout(20_000));
    const told: string[] = [];
    transport.on('disconnected', () => told.push('disconnected'));
    transport.on('connected', () => told.push('connected'));
    relay.cut();
    await expect.poll(() => told).toEqual(['disconnected', 'connected']);
  });

  it('refuses to be used after close, and close can be called twice', async () => {
    const transport = transportTo(await freePort());
    const client = createRpcClient({ transport, exchange: 'dpu', topic: 't' });
    const outcome = client.cast('m', {}).catch((error: unknown) => error);
    await transport.close();
    await transport.close();
    expect(transport.state).toBe('closed');
    expect(await outcome).toBeInstanceOf(ClosedError);
    await client.close();
  });

  it('holds a cast until there is a connection', async () => {
    const transport = transportTo(await freePort(), relay.port);
    const client = createRpcClient({ transport, exchange: 'dpu', topic: 't' });
    await client.cast('m', {});
    await client.close();
  });

  it('rejects a cast with ConnectionLostError when the connection ends before the confirm', async () => {
    const transport = transportTo(relay.port);
    const client = createRpcClient({ transport, exchange: 'dpu', topic: 't' });
    await client.cast('m', {}); // channel and exchange are there now
    relay.deaf = true;
    const cast = client.cast('m', {});
    const outcome = cast.catch((error: unknown) => error);
    relay.cut();
    expect(await outcome).toBeInstanceOf(ConnectionLostError);
    relay.deaf = false;
    await client.cast('m', {});
    await client.close();
  });

  it('stops a server whose queues are just being declared, and closes on a broker that hangs', async () => {
    const transport = transportTo(relay.port);
    await transport.connection(AbortSignal.timeout(20_000));
    relay.deaf = true;
    const server = createRpcServer({ transport, exchange: 'dpu', topic: 't', server: 'h1', endpoints: [] });
    await server.stop();
    await transport.close();
    expect(transport.state).toBe('closed');
  });

  it('serves quorum queues', async () => {
    const transport = transportTo(relay.port);
    const flags = { exchange: 'dpu-quorum', topic: 'quorum', quorumQueues: true } as const;
    const server = createRpcServer({
      ...flags,
      transport,
      server: 'h1',
      endpoints: [{ version: '1.0', methods: { twice: async ({ n }) => Number(n) * 2 } }],
    });
    await server.ready();
    const client = createRpcClient({ ...flags, transport });
    expect(await client.call('twice', { n: 21 }, { mandatory: true })).toBe(42);
    await client.close();
    await server.stop();
  });
});
