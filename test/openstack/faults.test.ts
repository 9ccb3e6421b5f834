/** The node, its broker or nova's conductor is away while a server is built, changed or deleted: all of them agree in the end. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Channel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Node } from '../../tools/openstack/node.ts';
import { ensureBroker } from '../../tools/openstack/services.ts';
import { until } from '../support/wait.ts';
import { type FaultyNode, openFaultyNode, type ServiceName } from './support/faulty-node.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';

const { hostname } = NODES.vm;
const queue = `compute.${hostname}`;

/** A request as it is on the wire, read or written anew. */
function envelope(message: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ 'oslo.version': '2.0', 'oslo.message': JSON.stringify(message) }));
}

/** The same request as another message. */
function sentAgain(body: Buffer): Buffer {
  const outer = JSON.parse(body.toString()) as { readonly 'oslo.message': string };
  const inner = JSON.parse(outer['oslo.message']) as Readonly<Record<string, unknown>>;
  return envelope({ ...inner, _unique_id: randomUUID().replaceAll('-', '') });
}

/** A request of the node, by which a flow is held at a moment of its own. */
type Moment = readonly [ServiceName, string, RegExp];
const binding: Moment = ['neutron', 'PUT', /\/ports\//];
const unbinding: Moment = ['neutron', 'DELETE', /\/ports\//];
const attaching: Moment = ['cinder', 'PUT', /\/attachments\//];
const completing: Moment = ['cinder', 'POST', /\/attachments\/.*\/action/];

describe.skipIf(PEER === 'stock')('a node of ours on a bad day', { timeout: 240_000 }, () => {
  const { cloud, servers } = liveServers();
  let node: Node;
  let faulty: FaultyNode;
  beforeAll(async () => {
    faulty = await openFaultyNode(cloud);
    node = faulty.node;
    await node.start();
  });
  afterEach(async () => {
    faulty.pass();
    if (node.pid() === undefined) await node.start();
  });
  afterAll(async () => {
    await faulty.close();
  });

  /** A channel to the broker, for as long as the work lasts. */
  async function onBroker(work: (channel: Channel) => Promise<void>): Promise<void> {
    const broker = await connect(cloud.stack.transportUrl.replace(/^rabbit:/, 'amqp:'));
    try {
      await work(await broker.createChannel());
    } finally {
      await broker.close();
    }
  }

  /** Has requests of the node to services held, each once, from before `work` until `faulty.pass`; ends when all of them are. */
  async function held<Answer>(moments: readonly Moment[], work: () => Promise<Answer>): Promise<Answer> {
    for (const [service, method, path] of moments) faulty.services[service].rules({ method, path, fault: 'hold' });
    const answer = await work();
    await until(`${moments.join()} is asked for`, async () => faulty.unmet().length === 0, 60_000);
    return answer;
  }

  it('goes on with what it was killed in, and with what it was asked for while it was away', async () => {
    const id = await held([attaching], () => servers.create('vm'));
    await node.kill();
    faulty.pass();
    await node.start();
    await servers.until(id, 'ACTIVE');
    expect(await servers.ports(id)).toHaveLength(1);
    await node.kill();
    const other = await servers.create('vm'); // both wait in the queue
    await servers.remove(id);
    await node.start();
    await Promise.all([servers.untilGone(id), servers.until(other, 'ACTIVE')]);
    await held([unbinding], () => servers.remove(other));
    await node.kill();
    faulty.pass();
    await node.start();
    await servers.untilGone(other);
  });

  it.each([
    ['ports are bound', binding],
    ['volumes are attached', attaching],
    ['volumes are said to be in use', completing],
  ])('gives a build up for a delete while its %s', async (_, moment) => {
    const id = await held([moment], () => servers.create('vm'));
    await servers.remove(id);
    faulty.pass();
    await servers.untilGone(id);
  });

  it('goes on with a build while its connection to the broker comes and goes', async () => {
    const id = await held([binding], () => servers.create('vm'));
    faulty.relay.cut();
    await held([attaching], async () => faulty.services.neutron.rules());
    faulty.relay.cut();
    faulty.pass();
    await servers.until(id, 'ACTIVE');
    expect(await servers.ports(id)).toHaveLength(1);
  });

  it('goes on with a build while RabbitMQ is started anew', async () => {
    const id = await held([binding], () => servers.create('vm'));
    const { programs, layout } = cloud.stack;
    await programs.stop('rabbitmq', 60_000);
    await ensureBroker(layout, programs);
    faulty.pass();
    await servers.until(id, 'ACTIVE', 180_000);
    expect(await servers.ports(id)).toHaveLength(1);
  });

  it('waits a minute and longer for a conductor that is away', { timeout: 300_000 }, async () => {
    const [changed, gone] = await Promise.all([servers.create('vm'), servers.create('vm')]);
    await Promise.all([changed, gone].map((id) => servers.until(id, 'ACTIVE')));
    const made = await held([attaching, unbinding], async () => {
      await servers.remove(gone);
      return await servers.create('vm');
    });
    await cloud.stack.stop('nova-conductor');
    faulty.pass();
    // the API waits its minute for the node, which has no conductor
    const from = performance.now();
    const attach = cloud.admin.call('compute', 'POST', `/servers/${changed}/os-interface`, {
      body: { interfaceAttachment: { net_id: cloud.network('second') } },
    });
    await expect(attach).rejects.toMatchObject({ status: 500 });
    expect(performance.now() - from).toBeGreaterThan(55_000);
    expect(await servers.show(made)).toMatchObject({ status: 'BUILD' });
    await cloud.stack.start('nova-conductor');
    await Promise.all([servers.until(made, 'ACTIVE'), servers.untilGone(gone)]);
    await expect
      .poll(async () => Object.keys((await servers.show(changed)).addresses).sort())
      .toEqual(['private', 'second']);
    expect(await servers.ports(changed)).toHaveLength(2);
    expect(await servers.until(changed, 'ACTIVE')).not.toHaveProperty('fault');
  });

  it('builds and deletes once, however often it is asked', () =>
    onBroker(async (channel) => {
      const tap = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(tap.queue, 'nova', queue);
      const requests: Buffer[] = [];
      const { consumerTag } = await channel.consume(
        tap.queue,
        (message) => void (message && requests.push(message.content)),
        { noAck: true },
      );
      const repeat = async (): Promise<void> => {
        const request = await until('the request', async () => requests.at(-1));
        for (const copy of [request, sentAgain(request), sentAgain(request)]) channel.sendToQueue(queue, copy);
      };
      const id = await servers.create('vm');
      await repeat();
      await servers.until(id, 'ACTIVE');
      expect(await servers.ports(id)).toHaveLength(1);
      requests.length = 0;
      await servers.remove(id);
      await repeat();
      await servers.untilGone(id);
      await channel.cancel(consumerTag);
      await channel.deleteQueue(tap.queue);
    }));

  it('takes no harm from what is no request, and from requests for what is not there', () =>
    onBroker(async (channel) => {
      const pid = node.pid();
      const context = { _context_request_id: `req-${randomUUID()}`, _context_project_id: 'p', _context_user_id: 'u' };
      const request = (method: string, args: unknown, more = {}): Buffer =>
        envelope({ method, args, version: '6.0', _unique_id: randomUUID(), ...context, ...more });
      const data = { id: 1, uuid: randomUUID(), project_id: 'p', host: hostname, vm_state: 'active', task_state: null };
      const instance = {
        'nova_object.name': 'Instance',
        'nova_object.namespace': 'nova',
        'nova_object.version': '2.7',
        'nova_object.data': data,
      };
      const methods = [
        'build_and_run_instance',
        'terminate_instance',
        'stop_instance',
        'live_migration',
        'get_vnc_console',
      ];
      const bad = [
        ...['', '{{', '[]', 'null', '{"method":"x"}'].map((text) => Buffer.from(text)),
        ...['frobnicate', '__proto__', 'constructor', 'power_sync', 'evacuated'].map((name) =>
          request(name, { instance }),
        ),
        request('stop_instance', { instance }, { version: '99.0' }),
        request('stop_instance', { pad: 'x'.repeat(20 * 2 ** 20) }),
        request('get_host_uptime', {}, { _msg_id: 'm', _reply_q: 'reply_of_nobody' }),
        ...methods.flatMap((name) => [
          request(name, []),
          request(name, {}),
          request(name, { instance: 7 }),
          request(name, { instance: { ...instance, 'nova_object.data': { ...data, uuid: '../x' } } }),
          request(name, { instance }),
        ]),
      ];
      for (const body of bad) channel.sendToQueue(queue, body);
      await until('all are taken', async () => (await channel.checkQueue(queue)).messageCount === 0, 60_000);
      const id = await servers.create('vm');
      await servers.until(id, 'ACTIVE');
      expect(node.pid()).toBe(pid);
    }));

  it('keeps no secret of the request', async () => {
    const adminPass = `pass-${randomUUID()}`;
    const id = await held([completing], () => servers.create('vm', { adminPass }));
    const { password } = cloud.stack.layout;
    const state = readdirSync(node.stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
    for (const file of [node.log, `/proc/${node.pid()}/cmdline`, ...state]) {
      const text = readFileSync(file, 'latin1');
      for (const secret of [adminPass, cloud.admin.token, password]) expect(text.includes(secret), file).toBe(false);
    }
    faulty.pass();
    await servers.until(id, 'ACTIVE');
  });
});
