/** What a node tells who listens to nova, in both formats, read from the broker's own queues. */
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Node, openNode } from '../../tools/openstack/node.ts';
import { until } from '../support/wait.ts';
import { liveServers } from './support/live.ts';
import { NODES, nodeOptions, PEER } from './support/nodes.ts';

const { hostname } = NODES.vm;

/** Queues of nova's notifications, by topic and priority. */
const QUEUES = ['notifications', 'versioned_notifications'].flatMap((topic) => [`${topic}.info`, `${topic}.error`]);

type Payload = Readonly<Record<string, unknown>>;

/** A notification as it is on the wire. */
interface Told {
  readonly event_type: string;
  readonly priority: string;
  readonly publisher_id: string;
  readonly payload: Payload;
}

describe.skipIf(PEER === 'stock')('whoever listens to nova', () => {
  const { cloud, servers } = liveServers({ clean: 'all' });
  let node: Node;
  let broker: ChannelModel;
  let channel: Channel;
  const told: Told[] = [];
  let raw = '';

  beforeAll(async () => {
    await cloud.node('vm').stop();
    node = await openNode({ ...nodeOptions(cloud.stack, NODES.vm), openstack: { notifications: 'both' } });
    await node.start();
    broker = await connect(cloud.stack.transportUrl.replace(/^rabbit:/, 'amqp:'));
    channel = await broker.createChannel();
    await until('requests are taken', async () => (await channel.checkQueue(`compute.${hostname}`)).consumerCount > 0);
    for (const queue of QUEUES) {
      await channel.assertQueue(queue, { durable: false });
      await channel.purgeQueue(queue);
      await channel.consume(queue, (message) => {
        if (message === null) return;
        channel.ack(message);
        raw += message.content.toString();
        const outer = JSON.parse(message.content.toString()) as { readonly 'oslo.message': string };
        told.push(JSON.parse(outer['oslo.message']) as Told);
      });
    }
  });
  afterAll(async () => {
    await servers.removeAll();
    await node.stop();
    await (await openNode(nodeOptions(cloud.stack, NODES.vm))).start();
    for (const queue of QUEUES) await channel.deleteQueue(queue);
    await broker.close();
  });

  /** What was told of a server in a format, in order. */
  const of = (id: string, versioned: boolean): readonly Told[] =>
    told.filter(({ payload }) =>
      versioned ? dataOf(payload).uuid === id : 'instance_id' in payload && payload.instance_id === id,
    );
  const dataOf = (payload: unknown): Payload =>
    ((payload as Payload | undefined)?.['nova_object.data'] ?? {}) as Payload;
  const untilTold = async (id: string, event: string): Promise<void> => {
    await until(`${event} is told`, async () =>
      [true, false].every((kind) => of(id, kind).some((each) => each.event_type.endsWith(event))),
    );
  };

  it('hears of a server that is built, rebuilt and deleted', async () => {
    const id = await servers.create('vm');
    const { addresses } = await servers.until(id, 'ACTIVE');
    const [volume] = (await servers.show(id))['os-extended-volumes:volumes_attached'];
    await servers.act(id, { rebuild: { imageRef: cloud.image } });
    await servers.until(id, 'ACTIVE');
    await servers.remove(id);
    await servers.untilGone(id);
    await untilTold(id, 'delete.end');

    const life = [
      'create.start',
      'create.end',
      'exists',
      'rebuild.start',
      'rebuild.end',
      'delete.start',
      'shutdown.start',
      'shutdown.end',
      'delete.end',
    ];
    const legacy = of(id, false);
    const versioned = of(id, true);
    expect(legacy.map(({ event_type: event }) => event)).toEqual(life.map((name) => `compute.instance.${name}`));
    expect(versioned.map(({ event_type: event }) => event)).toEqual(life.map((name) => `instance.${name}`));
    expect(new Set(legacy.map(({ publisher_id: from }) => from))).toEqual(new Set([`compute.${hostname}`]));
    expect(new Set(versioned.map(({ publisher_id: from }) => from))).toEqual(new Set([`nova-compute:${hostname}`]));
    expect([...legacy, ...versioned].every(({ priority }) => priority === 'INFO')).toBe(true);

    const address = addresses.private?.[0]?.addr;
    const rebuilt = legacy.find(({ event_type: event }) => event.endsWith('rebuild.end'));
    expect(rebuilt?.payload).toMatchObject({
      state: 'active',
      host: hostname,
      image_name: 'tiny',
      instance_type: 'm1.tiny',
      fixed_ips: [{ address, label: 'private' }],
    });
    const payload = versioned.find(({ event_type: event }) => event.endsWith('rebuild.end'))?.payload;
    expect(payload).toMatchObject({ 'nova_object.name': 'InstanceActionRebuildPayload', 'nova_object.version': '1.9' });
    expect(dataOf(payload)).toMatchObject({
      state: 'active',
      power_state: 'running',
      task_state: null,
      host: hostname,
      fault: null,
    });
    const [ip] = dataOf(payload).ip_addresses as readonly Payload[];
    expect(dataOf(ip)).toMatchObject({ address, version: 4 });
    const [disk] = dataOf(payload).block_devices as readonly Payload[];
    expect(dataOf(disk)).toMatchObject({ volume_id: volume?.id, boot_index: 0, device_name: '/dev/vda' });
    const gone = versioned.find(({ event_type: event }) => event === 'instance.delete.end');
    expect(dataOf(gone?.payload)).toMatchObject({ state: 'deleted', deleted_at: expect.stringMatching(/^20/) });
  });

  it('hears why a server could not be built, and no secret', async () => {
    const id = await servers.create('vm', {
      networks: 'none',
      user_data: Buffer.from([0xff, 0xfe, 1]).toString('base64'),
      adminPass: 'a-secret-of-its-user',
    });
    await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('user data must be text');
    await untilTold(id, 'create.error');
    const legacy = of(id, false).find(({ event_type: event }) => event.endsWith('error'));
    expect(legacy).toMatchObject({
      priority: 'ERROR',
      payload: { message: expect.stringContaining('user data must be text') },
    });
    const versioned = of(id, true).find(({ event_type: event }) => event.endsWith('error'));
    expect(versioned).toMatchObject({ priority: 'ERROR', event_type: 'instance.create.error' });
    expect(dataOf(dataOf(versioned?.payload).fault).exception_message).toContain('user data must be text');
    expect(raw).not.toContain('a-secret-of-its-user');
    expect(raw).not.toContain(cloud.admin.token);
  });
});
