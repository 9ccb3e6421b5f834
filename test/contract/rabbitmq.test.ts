import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, findRabbitServer, isRunning, readBroker, startBroker, stopBroker } from '../../tools/rabbitmq.ts';

describe.skipIf(!process.env.CI && findRabbitServer() === undefined)('private broker', () => {
  let dir: string;
  let broker: Broker;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'rabbit-'));
    broker = await startBroker({ dir, detached: true });
  });
  afterAll(async () => {
    await stopBroker(broker, { hard: true });
    await rm(dir, { recursive: true, force: true });
  });

  it('has one listener, on the loopback, and starts no epmd', () => {
    const listeners = execFileSync('ss', ['-Hltnp'], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(`pid=${broker.pid},`));
    expect(listeners).toEqual([expect.stringContaining(`127.0.0.1:${broker.port} `)]);
  });

  it('keeps its password in files of its own, not on the command line', async () => {
    for (const file of ['rabbitmq.conf', 'broker.json']) {
      expect((await stat(path.join(dir, file))).mode & 0o777).toBe(0o600);
    }
    const commandLine = execFileSync('ps', ['-o', 'args=', '-p', String(broker.pid)], { encoding: 'utf8' });
    expect(commandLine).toContain(broker.node);
    expect(commandLine).not.toContain(broker.password);
  });

  it('can be found, ended by its pid, and started again with the same account and port', async () => {
    const found = await readBroker(dir);
    expect(found).toEqual(broker);
    await stopBroker(broker);
    await stopBroker(broker);
    expect(isRunning(broker)).toBe(false);
    const { url } = broker;
    broker = await startBroker({ dir, detached: true });
    expect(broker.url).toBe(url);
  });

  it('never takes another process for the broker', () => {
    expect(isRunning({ pid: process.pid, node: broker.node })).toBe(false);
  });
});
