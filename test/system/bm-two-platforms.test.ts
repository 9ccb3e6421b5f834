/** Several platforms send the same and different requests to one node of real parts at once: one instance comes of it, and each gets a clear answer. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRpcClient, createTransport, RemoteError, type RpcClient, type Transport } from 'oslo-messaging';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { errorTable } from '../../core/errors.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { CliError } from '../../soc-daemon/cli/exit-code.ts';
import { NODE } from '../../tools/demo/layout.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';
import { until } from '../support/wait.ts';

const CALL_MS = 30_000;

/** What a platform was told: the operation that its request is, or why there is none. */
type Answer =
  | { readonly platform: string; readonly operation: Operation }
  | { readonly platform: string; readonly refused: string; readonly because: string };

/** Sends a request, as its own protocol has it. */
type Platform = (
  method: string,
  args: { readonly uuid: string } & Readonly<Record<string, unknown>>,
) => Promise<Operation>;

const paths: Readonly<Record<string, readonly [string, string]>> = {
  build_and_run_instance: ['POST', ''],
  destroy_instance: ['DELETE', '/:uuid'],
  attach_volume: ['POST', '/:uuid/volumes'],
  attach_interface: ['POST', '/:uuid/interfaces'],
};

describe.runIf(canHaveVirtualNodes('two platforms at once'))(
  'a node of several platforms',
  { timeout: 300_000 },
  () => {
    let node: VirtualNode;
    const transports: Transport[] = [];
    const platforms: Record<string, Platform> = {};
    let uuid: string = randomUUID();
    let broken = false;

    beforeAll(async () => {
      node = await startVirtualNode();
      const url = (await readFile(node.layout.transportUrl, 'utf8')).trim();
      for (const name of ['first', 'second']) platforms[name] = overAmqp(await client(url, name));
      platforms.rest = overRest;
    }, 240_000);
    afterAll(async () => {
      for (const each of transports) await each.close();
      await node?.close();
    }, 60_000);
    beforeEach(({ skip }) => {
      if (broken) skip('an earlier part failed');
    });
    afterEach(({ task }) => {
      if (task.result?.state === 'fail') broken = true;
    });

    async function client(url: string, connectionName: string): Promise<RpcClient> {
      const transport = createTransport({ url, connectionName });
      transports.push(transport);
      const rpc = createRpcClient({ transport, exchange: NODE.exchange, topic: 'compute', server: NODE.hostname });
      await rpc.call('report_node_status', {}, { timeoutMs: CALL_MS }); // connected, so that what follows is at once
      return rpc;
    }

    const overAmqp =
      (rpc: RpcClient): Platform =>
      async (method, args) =>
        ((await rpc.call(method, args, { timeoutMs: CALL_MS })) as { operation: Operation }).operation;

    const overRest: Platform = async (method, { uuid: instance, ...body }) => {
      const [verb, path] = paths[method] ?? ['', ''];
      const named = path === '' ? { uuid: instance, ...body } : body;
      const sent = verb === 'DELETE' ? undefined : named;
      return (await node.rest.ask(verb, `/v1/instances${path.replace(':uuid', instance)}`, sent)) as Operation;
    };

    async function answerOf(platform: string, asked: Promise<Operation>): Promise<Answer> {
      try {
        return { platform, operation: await asked };
      } catch (error) {
        if (error instanceof RemoteError) return { platform, refused: error.rpcClass, because: error.message };
        const code = error instanceof CliError ? /\((\w+)\)$/.exec(error.message)?.[1] : undefined;
        const row = Object.entries(errorTable).find(([each]) => each === code)?.[1];
        if (row === undefined) throw error;
        return { platform, refused: row.amqpClass, because: String(error) };
      }
    }

    /** All platforms ask at once; the arguments may differ by platform. */
    function allAsk(
      method: string,
      args: (platform: string, at: number) => Parameters<Platform>[1],
    ): Promise<Answer[]> {
      return Promise.all(
        Object.entries(platforms).map(([name, ask], at) => answerOf(name, ask(method, args(name, at)))),
      );
    }

    const taken = (answers: readonly Answer[]) => answers.flatMap((each) => ('operation' in each ? [each] : []));
    const refused = (answers: readonly Answer[]) => answers.flatMap((each) => ('refused' in each ? [each] : []));
    const instances = async (): Promise<readonly Instance[]> =>
      ((await node.rest.ask('GET', '/v1/instances')) as { instances: Instance[] }).instances;
    const build = { image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };

    /** The one operation that came of all answers, at its end; those who were refused met a conflict and were told why. */
    async function oneOf(answers: readonly Answer[], because: RegExp): Promise<Operation> {
      const [winner, ...more] = taken(answers);
      if (winner === undefined) throw new Error(`nobody's request was taken: ${JSON.stringify(answers)}`);
      expect(more).toEqual([]);
      for (const each of refused(answers)) {
        expect(each.refused).toBe('Conflict');
        expect(each.because).toMatch(because);
      }
      const operation = await node.ended(winner.operation.id);
      expect(operation).toMatchObject({ state: 'succeeded' });
      return operation;
    }

    it('takes one of the instances that each wants for itself', async () => {
      const answers = await allAsk('build_and_run_instance', (name) => ({ ...build, uuid: randomUUID(), name }));
      uuid = (await oneOf(answers, /the node has an instance already/)).instance;
      expect((await instances()).map((each) => each.uuid)).toEqual([uuid]);
      expect((await node.functions()).length).toBe(2);
    });

    it('destroys once what all want destroyed', async () => {
      const answers = await allAsk('destroy_instance', () => ({ uuid }));
      expect(refused(answers)).toEqual([]);
      expect(new Set(taken(answers).map(({ operation }) => operation.id)).size).toBe(1);
      expect(await node.ended(taken(answers)[0]?.operation.id ?? '')).toMatchObject({ state: 'succeeded' });
      await node.clean();
    });

    it('takes one of the requests that name one instance and differ', async () => {
      uuid = randomUUID();
      const answers = await allAsk('build_and_run_instance', (name) => ({ ...build, uuid, name }));
      await oneOf(answers, /the same request was made with other arguments/);
      const winner = taken(answers)[0]?.platform;
      expect(await instances()).toMatchObject([{ uuid, name: winner, state: 'active' }]);
      await node.succeed('destroy_instance', { uuid });
      await node.clean();
    });

    it('builds once what all ask for in the same words', async () => {
      uuid = randomUUID();
      const answers = await allAsk('build_and_run_instance', () => ({ ...build, uuid, name: 'shared' }));
      expect(refused(answers)).toEqual([]);
      expect(new Set(taken(answers).map(({ operation }) => operation.id)).size).toBe(1);
      expect(await node.ended(taken(answers)[0]?.operation.id ?? '')).toMatchObject({ state: 'succeeded' });
      expect(await instances()).toMatchObject([{ uuid, name: 'shared', state: 'active' }]);
      expect((await node.functions()).length).toBe(2);
    });

    it('attaches a volume once that all want attached', async () => {
      await until('the guest is up', async () => (await node.serialLog()).includes('login: '), 120_000);
      const answers = await allAsk('attach_volume', () => ({ uuid, volume: { volume_id: 'later' } }));
      await oneOf(answers, /another operation of the instance has not ended|it is attached already/);
      expect((await node.instance(uuid)).volumes.filter((each) => each.volume_id === 'later')).toHaveLength(1);
    });

    it('gives each its own NIC, one after the other', async () => {
      const sent = Object.values(platforms).map(async (ask) => {
        const operation = await until(
          'the request is taken',
          async () => {
            const answer = await answerOf('any', ask('attach_interface', { uuid, network: { subnet: 'net1' } }));
            if ('operation' in answer) return answer.operation;
            expect(answer).toMatchObject({ refused: 'Conflict' });
            return false;
          },
          60_000,
        );
        return await node.ended(operation.id);
      });
      const operations = await Promise.all(sent);
      expect(operations.map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'succeeded']);
      const { interfaces } = await node.instance(uuid);
      expect(new Set(interfaces.map(({ mac }) => mac)).size).toBe(4);
      expect(new Set(interfaces.flatMap(({ ips }) => ips)).size).toBe(4);
    });

    it('destroys what others change at the same time, and leaves nothing', async () => {
      const [first, second] = [platforms.first, platforms.second] as [Platform, Platform];
      const [changed, gone] = await Promise.all([
        answerOf('second', second('attach_interface', { uuid, network: { subnet: 'net1' } })),
        answerOf('first', first('destroy_instance', { uuid })),
      ]);
      if ('refused' in gone) throw new Error(`the destroy was refused: ${gone.because}`);
      expect(await node.ended(gone.operation.id)).toMatchObject({ state: 'succeeded' });
      if ('refused' in changed) expect(['Conflict', 'BadState', 'NotFound']).toContain(changed.refused);
      else expect(['succeeded', 'cancelled']).toContain((await node.ended(changed.operation.id)).state);
      expect(await instances()).toEqual([]);
      await node.clean();
    });
  },
);
