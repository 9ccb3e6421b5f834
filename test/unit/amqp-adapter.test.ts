/** A broker that is away: no error, and one line of the log. */
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Log, silentLog } from '../../core/ports/log.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { createAmqpAdapter } from '../../platform-adapter/amqp/adapter.ts';
import { createFakeService } from '../support/fake-service.ts';

describe('the AMQP adapter with a broker that takes nobody', () => {
  let server: Server;
  let adapter: PlatformAdapter;
  let tries = 0;
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => warnings.push(message), child: () => log };

  beforeEach(async () => {
    tries = 0;
    warnings.length = 0;
    server = createServer((socket: Socket) => {
      tries += 1;
      socket.on('error', () => {}); // the other side is told off and may reset
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    adapter = createAmqpAdapter({
      service: createFakeService(),
      outbox: {
        casts: () => [],
        castDelivered: () => Promise.resolve(),
        onCommit: () => () => {},
        reportAllInstances: () => Promise.resolve(),
      },
      config: {
        exchange: 'dpu',
        topic: 'compute',
        platform_topic: 'platform',
        durable_queues: false,
        auto_delete: false,
        quorum_queues: false,
        transient_queues_ttl_s: 1800,
        heartbeat_s: 60,
        prefetch: 64,
        max_body_bytes: 1_048_576,
      },
      reportIntervalMs: 60_000,
      transportUrl: `rabbit://u:p@127.0.0.1:${address.port}/`,
      hostname: 'node-1',
      clock: systemClock,
      random: systemRandom,
      log,
    });
  });
  afterEach(async () => {
    await adapter.stop(0);
    await new Promise((resolve) => server.close(resolve));
  });

  it('starts, goes on trying, warns once, and stops', async () => {
    await adapter.start();
    await adapter.start();
    expect(adapter.connected()).toBe(false);
    await expect.poll(() => tries, { timeout: 25_000 }).toBeGreaterThan(2);
    expect(warnings).toEqual(['broker is away; the node works on and tries again']);
    expect(adapter.connected()).toBe(false);
    await adapter.stop(0);
    await adapter.stop(0);
    expect(adapter.connected()).toBe(false);
  });
});
