/** Brokers that are away, that forget everything, and platforms that are not there yet: the platform ends up with the truth. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SimWorld } from '../../drivers/sim/world.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode } from './python/amqp-node.ts';
import { captureLog } from './python/capture-log.ts';
import {
  type Answer,
  haveStock,
  type PlatformClient,
  type PlatformServer,
  startClient,
  startServer,
} from './python/platform.ts';

const uuid = '0a1b0000-0000-4000-8000-000000000001';
const build = { uuid, name: 'i1', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }], volumes: [] };
const caller = { by: 'test' };
const patient = { timeout: 40_000, interval: 50 };
const minutes = 120_000;

/** Reconnecting takes as long as the back-off's jitter wants, so the limits here are wide. */
describe.skipIf(!haveStock())('broker and platform come and go', () => {
  let rabbit: TestRabbit;
  const ends: (() => Promise<unknown> | unknown)[] = [];
  const later = <Thing extends { stop(): Promise<void> }>(thing: Thing): Thing => {
    ends.push(() => thing.stop());
    return thing;
  };
  const newWorld = (): SimWorld => {
    const world = amqpWorld();
    ends.push(() => world.close());
    return world;
  };

  beforeAll(async () => {
    rabbit = await startRabbit();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    await rabbit.restart({ wipe: true });
  });
  afterAll(async () => {
    await rabbit?.stop();
  });

  const toldInstance = (server: PlatformServer): Instance | undefined =>
    server.reports.filter((each) => each.args.uuid === uuid && each.method === 'report_instance_status').at(-1)
      ?.args as unknown as Instance | undefined;
  const toldNode = (server: PlatformServer): NodeStatus | undefined =>
    server.reports.filter((each) => each.method === 'report_node_status').at(-1)?.args as unknown as
      | NodeStatus
      | undefined;

  /** What the platform was told last is what the node says of itself, and nothing waits. */
  async function knowsTheTruth(server: PlatformServer, node: AmqpNode): Promise<void> {
    await expect.poll(() => toldInstance(server), patient).toEqual(node.service.getInstance(uuid));
    await expect.poll(() => toldNode(server)?.generation, patient).toBe(node.service.nodeStatus().generation);
    await expect.poll(() => node.store.casts(10), patient).toEqual([]);
    const generations = server.reports
      .filter((each) => each.method === 'report_instance_status')
      .map((each) => Number(each.args.generation));
    expect(generations).toEqual(generations.toSorted((a, b) => a - b));
  }

  it(
    'works without a broker at its start, and tells of it later',
    async () => {
      await rabbit.down();
      const node = later(await startAmqpNode({ url: rabbit.url, world: newWorld() }));
      const [adapter] = node.daemon.adapters;
      expect(adapter?.connected()).toBe(false);
      expect(node.service.nodeStatus().ready).toBe(true);
      const { id } = await node.service.submit('build_and_run_instance', build, caller);
      expect((await node.service.waitForEnd(id)).state).toBe('succeeded');
      expect(node.store.casts(10)).not.toEqual([]);

      await rabbit.restart();
      const server = later(await startServer(rabbit.url));
      await knowsTheTruth(server, node);
      expect(adapter?.connected()).toBe(true);
    },
    minutes,
  );

  it(
    'keeps reports that no queue takes until there is one',
    async () => {
      const { log, lines } = captureLog((end) => ends.push(end));
      const node = later(await startAmqpNode({ url: rabbit.url, world: newWorld(), log }));
      const { id } = await node.service.submit('build_and_run_instance', build, caller);
      expect((await node.service.waitForEnd(id)).state).toBe('succeeded');
      const waits = () => lines().filter((line) => line.includes('nobody takes them'));
      await expect.poll(() => waits().length, patient).toBe(1);
      const states = () => node.store.casts(50).map((each) => each.args.state);
      expect(states()[0]).toBe('building');
      expect(states().at(-1)).toBe('active');

      const server = later(await startServer(rabbit.url));
      await knowsTheTruth(server, node);
      const told = server.reports.filter((each) => each.method === 'report_instance_status');
      expect(told[0]?.args.state).toBe('building');
      expect(waits()).toHaveLength(1);
    },
    minutes,
  );

  it(
    'goes on with a build, and answers who waits for it, when the broker loses every queue meanwhile',
    async () => {
      const world = newWorld();
      const node = later(await startAmqpNode({ url: rabbit.url, world }));
      const before = await startServer(rabbit.url);
      const client = later(await startClient(rabbit.url, hostname));
      await client.reachesNode();
      const resume = world.faults.order({ port: 'snic', method: 'ensureFunction', kind: 'hang' });
      const prepare = { timeout: 90 };
      const asked: Promise<Answer<{ operation: Operation }>> = client.ask(
        'build_and_run_instance',
        { ...build, wait: true },
        { prepare },
      );
      await expect.poll(() => toldInstance(before)?.state, patient).toBe('building');
      await before.stop();
      await rabbit.restart({ wipe: true });
      resume();
      // what hangs is not ended by taking back the order: the card's daemon is restarted, and the step is tried again
      world.restartPeer('snic');
      const server = later(await startServer(rabbit.url));
      expect(await asked).toMatchObject({ result: { operation: { state: 'succeeded', instance: uuid } } });
      await client.reachesNode();
      await knowsTheTruth(server, node);
      expect(toldInstance(server)?.state).toBe('active');
      await client.call('stop_instance', { uuid, wait: true });
      await knowsTheTruth(server, node);
      expect(toldInstance(server)?.state).toBe('stopped');
    },
    minutes,
  );

  it(
    'tells what changed while the broker was gone',
    async () => {
      const node = later(await startAmqpNode({ url: rabbit.url, world: newWorld() }));
      const before = await startServer(rabbit.url);
      await node.service.submit('build_and_run_instance', build, caller);
      await expect.poll(() => toldInstance(before)?.state, patient).toBe('active');
      await before.stop();
      await rabbit.down({ hard: true });
      const { id } = await node.service.submit('stop_instance', { uuid }, caller);
      expect((await node.service.waitForEnd(id)).state).toBe('succeeded');
      await rabbit.restart({ wipe: true });
      const server = later(await startServer(rabbit.url));
      await knowsTheTruth(server, node);
      expect(toldInstance(server)?.state).toBe('stopped');
    },
    minutes,
  );

  it(
    'tells everything again to a broker that forgot it, though nothing changed',
    async () => {
      const node = later(await startAmqpNode({ url: rabbit.url, world: newWorld() }));
      const before = await startServer(rabbit.url);
      await node.service.submit('build_and_run_instance', build, caller);
      await expect.poll(() => toldInstance(before)?.state, patient).toBe('active');
      await expect.poll(() => node.store.casts(10), patient).toEqual([]);
      await before.stop();
      await rabbit.restart({ wipe: true });
      const server = later(await startServer(rabbit.url));
      await knowsTheTruth(server, node);
    },
    minutes,
  );

  describe('a daemon that is killed with a request in its hands', () => {
    const program = fileURLToPath(new URL('./python/amqp-child.ts', import.meta.url));

    async function startDaemon(
      dir: string,
      hang: string,
    ): Promise<{ child: ChildProcess; said(word: string): Promise<void> }> {
      const child = spawn(process.execPath, [program, rabbit.url, dir, hang], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(child, 'exit');
      ends.push(() => {
        child.kill('SIGKILL');
        return exited;
      });
      const words: string[] = [];
      createInterface({ input: child.stdout ?? process.stdin }).on('line', (line) => words.push(line));
      const said = (word: string): Promise<void> => expect.poll(() => words, patient).toContain(word);
      await said('ready');
      return { child, said };
    }

    it.each(['before', 'after'])(
      'is given it again, and does it once (killed %s it was journaled)',
      async (moment) => {
        const dir = mkdtempSync(join(tmpdir(), 'amqp-child-'));
        ends.push(() => rmSync(dir, { recursive: true, force: true }));
        const first = await startDaemon(dir, moment);
        const client: PlatformClient = later(await startClient(rabbit.url, hostname));
        await client.reachesNode();
        // without a uuid: only the message itself says that it is the same request
        const { uuid: _uuid, ...args } = build;
        const asked = client.ask<{ operation: Operation }>('build_and_run_instance', args, {
          prepare: { timeout: 90 },
        });
        await first.said('hangs');
        first.child.kill('SIGKILL');
        await once(first.child, 'exit');
        await startDaemon(dir, 'never');
        const { result, error } = await asked;
        expect(error).toBeUndefined();
        await client.reachesNode();
        const id = result?.operation.id;
        const state = async () => (await client.call<Operation>('get_operation', { id })).state;
        await expect.poll(state, patient).toBe('succeeded');
        const { operations } = await client.call<{ operations: Operation[] }>('list_operations');
        expect(operations.map((each) => each.id)).toEqual([id]);
        const { instances } = await client.call<{ instances: Instance[] }>('list_instances');
        expect(instances.map((each) => each.state)).toEqual(['active']);
      },
      minutes,
    );
  });
});
