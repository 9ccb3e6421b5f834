/** What a platform gets for messages that are wrong, and for the same request twice; the consumer lives on after each. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SimWorld } from '../../drivers/sim/world.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode, volumes } from './python/amqp-node.ts';
import { captureLog } from './python/capture-log.ts';
import { haveStock, type PlatformClient, startClient } from './python/platform.ts';

const uuid = 'bad00000-0000-4000-8000-000000000001';
const other = 'bad00000-0000-4000-8000-000000000002';
const third = 'bad00000-0000-4000-8000-000000000003';
const build = { name: 'i1', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }], volumes: [] };
const nic = (fields: object): object => ({ ...build, networks: [{ subnet: 'net1' }, { subnet: 'net1', ...fields }] });
const disk = (fields: object): object => ({ ...build, volumes: [{ volume_id: volumes.data, ...fields }] });
const without = (name: string): object => Object.fromEntries(Object.entries(build).filter(([key]) => key !== name));
const maxBody = 4096;

describe.skipIf(!haveStock())('bad input over AMQP', () => {
  let rabbit: TestRabbit;
  let world: SimWorld;
  let dir: string;
  let node: AmqpNode;
  let client: PlatformClient;
  let connection: ChannelModel;
  let channel: ConfirmChannel;
  const { log, lines } = captureLog(afterAll);

  beforeAll(async () => {
    rabbit = await startRabbit();
    world = amqpWorld();
    dir = mkdtempSync(join(tmpdir(), 'amqp-bad-input-'));
    node = await startAmqpNode({ url: rabbit.url, world, dir, log, amqp: { max_body_bytes: maxBody } });
    client = await startClient(rabbit.url, hostname);
    await client.reachesNode();
    connection = await connect(rabbit.url.replace(/^rabbit:/, 'amqp:'));
    channel = await connection.createConfirmChannel();
  });
  afterAll(async () => {
    await connection?.close();
    await client?.stop();
    await node?.stop();
    world?.close();
    rmSync(dir, { recursive: true, force: true });
    await rabbit?.stop();
  });

  afterEach(async () => {
    expect(await client.call('report_node_status')).toMatchObject({ hostname });
    const left = async () => (await channel.checkQueue(`compute.${hostname}`)).messageCount;
    expect(await left()).toBe(0);
  });

  const nothingHappened = (): void => {
    expect(node.service.listOperations({}).operations).toEqual([]);
    expect(node.service.listInstances({}).instances).toEqual([]);
    expect(node.service.listAudit(10)).toEqual([]);
    expect(node.store.ports()).toEqual([]);
    expect(node.store.casts(10)).toEqual([]);
  };

  describe('a message that breaks its schema', () => {
    it.each<[field: string, method: string, args: object]>([
      ['name', 'build_and_run_instance', without('name')],
      ['flavor', 'build_and_run_instance', without('flavor')],
      ['image', 'build_and_run_instance', without('image')],
      ['uuid', 'build_and_run_instance', { ...build, uuid: 'i1' }],
      ['name', 'build_and_run_instance', { ...build, name: 7 }],
      ['flavor', 'build_and_run_instance', { ...build, flavor: { vcpus: 4 } }],
      ['networks', 'build_and_run_instance', { ...build, networks: {} }],
      ['networks[1].mac', 'build_and_run_instance', nic({ mac: 'aa:bb:cc' })],
      ['networks[1].mac', 'build_and_run_instance', nic({ mac: '01:00:5e:00:00:01' })],
      ['networks[1].type', 'build_and_run_instance', nic({ type: 'XF' })],
      ['networks[1].vlan', 'build_and_run_instance', nic({ vlan: 7 })],
      ['volumes[0].bootable', 'build_and_run_instance', disk({ bootable: 'maybe' })],
      ['volumes[0].volume_id', 'build_and_run_instance', { ...build, volumes: [{ bootable: true }] }],
      ['wait', 'build_and_run_instance', { ...build, wait: 'yes' }],
      ['metadata.colour', 'build_and_run_instance', { ...build, metadata: { colour: 7 } }],
      ['type', 'reboot_instance', { uuid, type: 'medium' }],
      ['type', 'reboot_instance', { uuid }],
      ['uuid', 'destroy_instance', {}],
      ['timeout', 'stop_instance', { uuid, timeout: -1 }],
      ['limit', 'list_instances', { limit: 0 }],
      ['state', 'list_operations', { state: 'done' }],
      ['volume', 'attach_volume', { uuid }],
    ])('names %s (%s)', async (field, method, args) => {
      expect(await client.fail(method, { ...args })).toMatchObject({
        base: 'dpu_compute.errors.Invalid',
        code: 'invalid',
        field,
      });
      nothingHappened();
    });

    it.each<[argument: string, method: string, args: object]>([
      ['colour', 'build_and_run_instance', { ...build, colour: 'red' }],
      ['colour', 'report_node_status', { colour: 'red' }],
      ['instance', 'list_instances', { instance: uuid }],
      ['instance', 'get_operation', { id: uuid, instance: uuid }],
      ['instance', 'pause_vm', { uuid, instance: other }],
      ['volume', 'create_snapshot', { uuid, volume_id: 'a', volume: 'b' }],
      ['__proto__', 'pause_vm', { uuid, ['__proto__']: 1 }],
      ['constructor', 'pause_vm', { uuid, constructor: 1 }],
    ])('names the argument that it does not know: %s (%s)', async (argument, method, args) => {
      const failure = await client.fail(method, args as Record<string, unknown>);
      expect(failure).toMatchObject({ class: 'Invalid', field: argument });
      nothingHappened();
    });

    it.each<[field: string, args: object]>([
      ['flavor', { ...build, flavor: 'huge' }],
      ['image', { ...build, image: 'nowhere' }],
      ['networks[0].subnet', { ...build, networks: [{ subnet: 'nowhere' }] }],
      ['volumes[0].volume_id', { ...build, volumes: [{ volume_id: 'nowhere' }] }],
    ])('names what there is not: %s', async (field, args) => {
      expect(await client.fail('build_and_run_instance', { ...args })).toMatchObject({ class: 'NotFound', field });
      nothingHappened();
    });

    it('does not quote the value', async () => {
      const failure = await client.fail('reset_instance_admin_password', { uuid, new_password: ['h4ng-the-moon'] });
      expect(failure).toMatchObject({ class: 'Invalid', field: 'new_password' });
      expect(JSON.stringify(failure)).not.toContain('h4ng-the-moon');
      expect(lines().join('\n')).not.toContain('h4ng-the-moon');
    });
  });

  describe('a message that is no request', () => {
    it.each(['no_such_method', '_private', 'constructor', 'toString', 'submit'])(
      'unknown method %s',
      async (method) => {
        expect(await client.fail(method, {})).toMatchObject({ class: 'RemoteError', exc_type: 'NoSuchMethod' });
      },
    );

    it.each(['1.1', '2.0', '0.9'])('unknown version %s', async (version) => {
      const failure = await client.fail('report_node_status', {}, { prepare: { version } });
      expect(failure).toMatchObject({ class: 'RemoteError', exc_type: 'UnsupportedVersion' });
    });

    it('unknown namespace', async () => {
      const failure = await client.fail('report_node_status', {}, { prepare: { namespace: 'other' } });
      expect(failure).toMatchObject({ exc_type: 'UnsupportedVersion' });
    });

    it('a body over the limit is dropped; its caller runs into the time-out', async () => {
      const args = { ...build, userdata: 'x'.repeat(maxBody) };
      const failure = await client.fail('build_and_run_instance', args, { prepare: { timeout: 2 } });
      expect(failure.class).toBe('MessagingTimeout');
      expect(lines().filter((line) => line.includes('too-large'))).not.toEqual([]);
      nothingHappened();
    });

    const envelope = (inner: unknown, version: unknown = '2.0'): string =>
      JSON.stringify({
        'oslo.version': version,
        'oslo.message': typeof inner === 'string' ? inner : JSON.stringify(inner),
      });
    it.each<[reason: string, body: string | Buffer]>([
      ['not-json', ''],
      ['not-json', 'build_and_run_instance'],
      ['not-json', envelope('{"method":')],
      ['not-utf8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
      ['bad-envelope', '[]'],
      ['bad-envelope', 'null'],
      ['bad-envelope', envelope('7')],
      ['envelope-version', envelope({ method: 'report_node_status' }, '3.0')],
      ['bad-method', '{}'],
      ['bad-method', envelope({ method: 7, args: {} })],
      ['bad-args', envelope({ method: 'build_and_run_instance', args: [build] })],
      ['bad-version', envelope({ method: 'build_and_run_instance', args: build, version: {} })],
      ['too-deep', envelope(`{"method":"x","args":${'['.repeat(100)}${']'.repeat(100)}}`)],
      ['bad-reply-address', envelope({ method: 'report_node_status', _msg_id: {}, _reply_q: 7 })],
    ])('a broken envelope (%s)', async (reason, body) => {
      const told = () => lines().filter((line) => line.includes('not understood') && line.includes(`"${reason}"`));
      const before = told().length;
      channel.publish('dpu', `compute.${hostname}`, Buffer.from(body), { contentType: 'application/json' });
      await channel.waitForConfirms();
      await expect.poll(() => told().length, { timeout: 10_000 }).toBe(before + 1);
      nothingHappened();
    });
  });

  describe('the same request again', () => {
    type Accepted = { operation: Operation };
    const args = { ...build, uuid };

    it('two identical builds at once are one operation', async () => {
      const answers = await Promise.all([1, 2, 3].map(() => client.call<Accepted>('build_and_run_instance', args)));
      expect(new Set(answers.map(({ operation }) => operation.id)).size).toBe(1);
      await client.call('build_and_run_instance', { ...args, wait: true });
      expect(node.service.listOperations({}).operations).toHaveLength(1);
    });

    it('with the same arguments it answers the first operation', async () => {
      const { operation } = await client.call<Accepted>('build_and_run_instance', args);
      expect(operation).toMatchObject({ id: node.service.listOperations({}).operations[0]?.id, state: 'succeeded' });
      expect(node.service.listOperations({}).operations).toHaveLength(1);
    });

    it.each([
      ['name', { name: 'i2' }],
      ['flavor', { flavor: '8c16g' }],
      ['networks', { networks: [] }],
      ['userdata', { userdata: { admin_pass: 'another' } }],
    ])('with another %s it is a conflict that names it', async (field, change) => {
      const failure = await client.fail('build_and_run_instance', { ...args, ...change });
      expect(failure).toMatchObject({ base: 'dpu_compute.errors.Conflict', code: 'conflict', field });
      expect(node.service.listOperations({}).operations).toHaveLength(1);
    });

    it('a build without a uuid is one operation by its request_id', async () => {
      await client.call('destroy_instance', { uuid, wait: true });
      const named = { ...build, request_id: 'b-1' };
      const answers = await Promise.all([1, 2].map(() => client.call<Accepted>('build_and_run_instance', named)));
      const last = await client.call<Accepted>('build_and_run_instance', { ...named, wait: true });
      const ids = [...answers, last].map(({ operation }) => operation.id);
      expect(new Set(ids).size).toBe(1);
      expect(last.operation.state).toBe('succeeded');
      const failure = await client.fail('build_and_run_instance', { ...named, name: 'i2' });
      expect(failure).toMatchObject({ class: 'Conflict', field: 'name' });
      expect(node.service.listInstances({}).instances).toHaveLength(1);
      await client.call('destroy_instance', { uuid: last.operation.instance, wait: true });
      await client.call('build_and_run_instance', { ...args, uuid: other, wait: true });
    });

    it('another build on the busy node is a conflict that names the instance', async () => {
      const failure = await client.fail('build_and_run_instance', { ...build, uuid: third });
      expect(failure).toMatchObject({ class: 'Conflict', details: { instance: other } });
      expect((await client.fail('get_instance', { uuid: third })).class).toBe('NotFound');
    });

    it('with a request_id it is done once, and not again with other arguments', async () => {
      const reboot = { uuid: other, type: 'hard', request_id: 'r-1', wait: true };
      const { boots } = world.host.row();
      const [first, second] = await Promise.all([1, 2].map(() => client.call<Accepted>('reboot_instance', reboot)));
      expect(first?.operation.id).toBe(second?.operation.id);
      expect(world.host.row().boots).toBe(boots + 1);
      const failure = await client.fail('reboot_instance', { ...reboot, type: 'soft' });
      expect(failure).toMatchObject({ class: 'Conflict', field: 'type' });
      const stop = await client.fail('stop_instance', { uuid: other, request_id: 'r-1' });
      expect(stop).toMatchObject({ class: 'Conflict' });
    });
  });

  // the last of this file: it ends the node
  it('leaves no message without an acknowledgement', async () => {
    await node.stop();
    for (const queue of ['compute', `compute.${hostname}`]) {
      expect((await channel.checkQueue(queue)).messageCount).toBe(0);
    }
    node = await startAmqpNode({ url: rabbit.url, world, dir });
    await client.reachesNode();
  });
});
