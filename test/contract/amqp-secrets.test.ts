/** What is secret in a request or in the transport's URL stays out of logs, answers, reports and files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { SimWorld } from '../../drivers/sim/world.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode, volumes } from './python/amqp-node.ts';
import { captureLog } from './python/capture-log.ts';
import {
  haveStock,
  type PlatformClient,
  type PlatformServer,
  type RemoteFailure,
  startClient,
  startServer,
} from './python/platform.ts';

const uuid = '5ec0e700-0000-4000-8000-000000000001';
const adminPass = 'pass-AdminWord1';
const chap = 'chap-TargetWord2';
const newPassword = 'pass-NewWord3';
const build = {
  uuid,
  name: 'i1',
  image: 'demo',
  flavor: '4c8g',
  networks: [{ subnet: 'net1' }],
  userdata: { admin_pass: adminPass },
  volumes: [
    {
      volume_id: volumes.data,
      connection_info: { driver_volume_type: 'iscsi', data: { auth_password: chap } },
    },
  ],
};

describe.skipIf(!haveStock())('secrets over AMQP', () => {
  let rabbit: TestRabbit;
  let world: SimWorld;
  let node: AmqpNode;
  let client: PlatformClient;
  let server: PlatformServer;
  const { log, lines } = captureLog(afterAll);
  const failures: RemoteFailure[] = [];
  const answers: unknown[] = [];
  let secrets: readonly string[] = [];

  beforeAll(async () => {
    rabbit = await startRabbit();
    secrets = [rabbit.password, adminPass, chap, newPassword];
    world = amqpWorld();
    node = await startAmqpNode({
      url: rabbit.url,
      world,
      log,
      around: (service) => ({
        ...service,
        // an inner error that quotes what it was given, as lower layers like to do
        async retryOperation(id, caller) {
          const cause = new Error(`connect to ${rabbit.url} failed`);
          if (id === uuid) throw new DpuError('unavailable', 'the peer is away', { cause });
          return await service.retryOperation(id, caller);
        },
      }),
    });
    server = await startServer(rabbit.url);
    client = await startClient(rabbit.url, hostname);
    await client.reachesNode();
  });
  afterAll(async () => {
    await client?.stop();
    await server?.stop();
    await node?.stop();
    world?.close();
    await rabbit?.stop();
  });

  const found = (text: string): readonly string[] => secrets.filter((secret) => text.includes(secret));

  /** Every file of the state directory, byte by byte: the database, its journal and its index. */
  const stored = (): string =>
    readdirSync(node.dir)
      .map((name) => readFileSync(join(node.dir, name), 'latin1'))
      .join('\n');

  it('meets them on every way that a request can take', async () => {
    // the storage target refuses, so that the secrets are still needed and stored
    const order = world.faults.order({ port: 'storage', method: 'attach', kind: 'fail-always' });
    answers.push(await client.call('build_and_run_instance', build));
    failures.push(await client.fail('build_and_run_instance', { ...build, userdata: { admin_pass: newPassword } }));
    failures.push(
      await client.fail('build_and_run_instance', { ...build, volumes: [{ ...build.volumes[0], x: chap }] }),
    );
    failures.push(await client.fail('build_and_run_instance', { ...build, userdata: { pass: adminPass } }));
    const bare = { volume_id: volumes.data, connection_info: { secret: chap } };
    failures.push(await client.fail('attach_volume', { uuid, volume: bare }));
    failures.push(await client.fail('reset_instance_admin_password', { uuid, new_password: newPassword }));
    failures.push(await client.fail('retry_operation', { id: uuid }));
    const steps = async () => (await client.call<{ operations: Operation[] }>('list_operations')).operations[0]?.steps;
    await expect
      .poll(async () => (await steps())?.some((each) => each.name.includes('attach') && each.phase === 'doing'), {
        timeout: 20_000,
      })
      .toBe(true);
    expect(lines().length).toBeGreaterThan(5);
    expect(stored()).toContain(uuid);
    expect(found(stored())).toEqual([]);
    order();
    answers.push(await client.call('build_and_run_instance', { ...build, wait: true }));
    expect(answers.at(-1)).toMatchObject({ operation: { state: 'succeeded' } });
  });

  it('keeps them out of the broker that is lost', async () => {
    await rabbit.restart({ wipe: true });
    await client.reachesNode();
    expect(lines().some((line) => line.includes('broker is away'))).toBe(true);
  }, 90_000);

  it('leaves none in answers, failures and reports', async () => {
    expect(failures.map((each) => each.class)).toEqual([
      'Conflict',
      'Invalid',
      'Invalid',
      expect.stringMatching(/^(Invalid|Conflict)$/),
      'Conflict',
      'Unavailable',
    ]);
    answers.push(await client.call('list_operations'), await client.call('report_node_status'));
    await expect.poll(() => server.reports.length, { timeout: 10_000 }).toBeGreaterThan(2);
    expect(found(JSON.stringify([failures, answers, server.reports]))).toEqual([]);
  });

  it('leaves none in the log, also of level debug', () => {
    expect(found(lines().join('\n'))).toEqual([]);
    // the search finds what is there
    expect(found(`x ${chap} y`)).toEqual([chap]);
  });

  it('leaves none in clear in the files, also after the end', async () => {
    await client.call('destroy_instance', { uuid, wait: true });
    expect(stored()).toContain(uuid);
    expect(found(stored())).toEqual([]);
  });
});
