/** What goes wrong in a cloud while a server is built or deleted: nova, Neutron, Cinder, Placement and the node agree in the end. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Relay, startRelay } from '../../packages/oslo-messaging/test/relay.ts';
import { type Node, openNode } from '../../tools/openstack/node.ts';
import { until } from '../support/wait.ts';
import { type Cloud, openCloud } from './support/cloud.ts';
import { type FaultProxy, startFaultProxy } from './support/fault-proxy.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { NODES, nodeOptions, PEER } from './support/nodes.ts';
import { type Server, type Servers, serversOf } from './support/servers.ts';

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

describe.skipIf(PEER === 'stock')('a node of ours on a bad day', () => {
  let cloud: Cloud;
  let servers: Servers;
  let node: Node;
  let cinder: FaultProxy;
  let relay: Relay;
  let broker: ChannelModel;
  let channel: Channel;

  beforeAll(async () => {
    cloud = await openCloud();
    servers = serversOf(cloud);
    const { stack, admin } = cloud;
    cinder = await startFaultProxy(admin.endpoint('volumev3').replace(/(\/v3)\/.*$/, '$1'));
    const url = new URL(stack.transportUrl);
    relay = await startRelay(Number(url.port));
    const transport = join(stack.layout.dir, 'nodes', hostname, 'relayed-transport-url');
    writeFileSync(transport, `${stack.transportUrl.replace(`:${url.port}`, `:${relay.port}`)}\n`, { mode: 0o600 });
    await cloud.node('vm').stop();
    const openstack = { transport_url_file: transport, endpoints: { volumev3: cinder.url } };
    node = await openNode({ ...nodeOptions(stack, NODES.vm), openstack });
    await node.start();
    broker = await connect(stack.transportUrl.replace(/^rabbit:/, 'amqp:'));
    channel = await broker.createChannel();
    await until('requests are taken', async () => (await channel.checkQueue(queue)).consumerCount > 0, 60_000);
  });
  afterEach(async () => {
    cinder.rules();
    if (node.pid() === undefined) await node.start();
    await servers.removeAll();
    await expectNothingLeft(cloud);
  });
  afterAll(async () => {
    await broker.close();
    await node.stop();
    await (await openNode(nodeOptions(cloud.stack, NODES.vm))).start();
    await cinder.close();
    await relay.stop();
  });

  const inTask = (id: string, ...tasks: readonly string[]): Promise<Server> =>
    until(
      tasks.join(' or '),
      async () => {
        const server = await servers.show(id);
        return tasks.includes(server['OS-EXT-STS:task_state'] ?? '') || server.status !== 'BUILD' ? server : undefined;
      },
      60_000,
    );

  it('goes on with a build and with a delete after it was killed', async () => {
    const id = await servers.create('vm');
    await inTask(id, 'spawning');
    await node.kill();
    await node.start();
    await servers.until(id, 'ACTIVE');
    await node.kill();
    await servers.remove(id); // waits in the queue
    await node.start();
    await servers.untilGone(id);
  });

  it('goes on with a build while its broker comes and goes', async () => {
    const id = await servers.create('vm');
    await inTask(id, 'networking', 'block_device_mapping');
    relay.cut();
    await inTask(id, 'block_device_mapping', 'spawning');
    relay.cut();
    await servers.until(id, 'ACTIVE');
    expect(await servers.ports(id)).toHaveLength(1);
  });

  it('waits for a conductor that is away', async () => {
    const id = await servers.create('vm');
    await inTask(id, 'networking', 'block_device_mapping');
    await cloud.stack.stop('nova-conductor');
    await cloud.stack.start('nova-conductor');
    await servers.until(id, 'ACTIVE');
  });

  it('ends a build in error where Cinder refuses the attachment, and keeps nothing', async () => {
    const body = { badRequest: { code: 400, message: 'no' } };
    cinder.rules({ method: 'PUT', path: /\/attachments\//, fault: { status: 400, body } });
    const id = await servers.create('vm');
    await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('is in ERROR');
    expect(cinder.met).toBeGreaterThan(0);
    expect((await servers.show(id))['OS-EXT-SRV-ATTR:host']).toBeNull();
    await expectNothingLeft(cloud, [id]);
  });

  it('builds and deletes once, however often it is asked', async () => {
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
  });

  it('takes no harm from what is no request, and from requests for what is not there', async () => {
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
  });

  it('keeps no secret of the request', async () => {
    const adminPass = `pass-${randomUUID()}`;
    const id = await servers.create('vm', { adminPass });
    await inTask(id, 'spawning');
    const { password } = cloud.stack.layout;
    const state = readdirSync(node.stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
    for (const file of [node.log, `/proc/${node.pid()}/cmdline`, ...state]) {
      const text = readFileSync(file, 'latin1');
      for (const secret of [adminPass, cloud.admin.token, password]) expect(text.includes(secret), file).toBe(false);
    }
    await servers.until(id, 'ACTIVE');
  });
});
