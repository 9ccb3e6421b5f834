/** The platform's messages as they are written down for it, sent by stock oslo.messaging. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { SimWorld } from '../../drivers/sim/world.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode, volumes } from './python/amqp-node.ts';
import {
  type Answer,
  haveStock,
  type PlatformClient,
  type PlatformServer,
  startClient,
  startServer,
} from './python/platform.ts';
import { seedBareUuid, seedNodeStatus, seedYaml } from './seed-messages.ts';

type Message = Record<string, unknown>;

/** Reads a message; `choices` fill the places that the text leaves open. */
function message(method: keyof typeof seedYaml, choices: Message): Message {
  const fill = (value: unknown, name: string): unknown => {
    if (Array.isArray(value)) return value.map((each) => fill(each, name));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fill(each, key)]));
    }
    return Object.hasOwn(choices, name) ? choices[name] : value;
  };
  const read = parse(seedYaml[method]) as Message;
  for (const name of Object.keys(choices)) expect(seedYaml[method]).toContain(`${name}: `);
  return fill(read, '') as Message;
}

describe('the texts', () => {
  it('are read as they stand', () => {
    expect(parse(seedYaml.build_and_run_instance)).toEqual({
      name: 'instance-1',
      image: 'centos_image_uuid',
      userdata: { admin_pass: 'xxx' },
      flavor: '4c8g',
      networks: [{ subnet: 'net1', mac: 'aa:bb:cc:dd:ee:ff' }],
      volumes: [{ volume_id: 'uuid', bootable: 'yes/no' }],
    });
    expect(parse(seedYaml.reboot_instance)).toEqual({ instance: 'uuid', type: 'hard/soft' });
  });
});

describe.skipIf(!haveStock())('messages of the platform, verbatim', () => {
  let rabbit: TestRabbit;
  let world: SimWorld;
  let node: AmqpNode;
  let client: PlatformClient;
  let server: PlatformServer;

  beforeAll(async () => {
    rabbit = await startRabbit();
    server = await startServer(rabbit.url);
    world = amqpWorld();
    node = await startAmqpNode({ url: rabbit.url, world });
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

  type Answered = Answer<{ operation: Operation }>;

  async function ended({ result, error }: Answered): Promise<Operation> {
    expect(error).toBeUndefined();
    const id = result?.operation.id ?? '';
    const state = () => node.service.getOperation(id).state;
    await expect.poll(state, { timeout: 20_000 }).toBe('succeeded');
    return node.service.getOperation(id);
  }

  const destroy = async (uuid: string) => ended(await client.ask('destroy_instance', { instance: uuid }));

  // YAML 1.1 reads yes and no as booleans, YAML 1.2 as words
  it.each([
    ['yes', volumes.boot],
    ['no', volumes.data],
    [true, volumes.boot],
    [false, volumes.data],
  ])('build_and_run_instance, bootable: %s', async (bootable, volume) => {
    const args = message('build_and_run_instance', { volume_id: volume, bootable });
    const { instance: uuid } = await ended(await client.ask('build_and_run_instance', args));
    const instance = node.service.getInstance(uuid);
    expect(instance).toMatchObject({ name: 'instance-1', state: 'active', flavor: { vcpus: 4, memory_mib: 8192 } });
    expect(instance.interfaces).toMatchObject([{ mac: 'aa:bb:cc:dd:ee:ff' }]);
    const boots = instance.volumes.filter((each) => each.boot).map((each) => each.volume_id);
    expect(boots).toHaveLength(1);
    expect(boots.includes(volume)).toBe(volume === volumes.boot);
    await destroy(uuid);
  });

  describe('on an instance that is there', () => {
    let uuid = '';
    beforeAll(async () => {
      const args = message('build_and_run_instance', { volume_id: volumes.boot, bootable: 'yes' });
      const { operation } = await client.call<{ operation: Operation }>('build_and_run_instance', {
        ...args,
        wait: true,
      });
      expect(operation.state).toBe('succeeded');
      uuid = operation.instance;
    });

    /** Done, or not supported on a bare-metal node; never a complaint about the message. */
    async function isUnderstood(answered: Answered): Promise<'done' | 'unsupported'> {
      if (answered.error) {
        expect(answered.error).toMatchObject({ class: 'Unsupported', code: 'unsupported' });
        return 'unsupported';
      }
      if (answered.result?.operation) await ended(answered);
      return 'done';
    }
    const unsupportedYet = new Set([
      'pause_vm',
      'get_instance_console',
      'create_snapshot',
      'resize_vm',
      'set_interface_qos',
    ]);
    const expected = (method: string) => (unsupportedYet.has(method) ? 'unsupported' : 'done');

    it.each(seedBareUuid.flatMap((method) => [[method, 'uuid'] as const]))('%s/uuid, as %s', async (method, name) => {
      expect(await isUnderstood(await client.ask(method, { [name]: uuid }))).toBe(expected(method));
    });

    it.each(seedBareUuid.flatMap((method) => [[method, 'instance'] as const]))(
      '%s/uuid, as %s',
      async (method, name) => {
        expect(await isUnderstood(await client.ask(method, { [name]: uuid }))).toBe(expected(method));
      },
    );

    it.each(['hard', 'soft'])('reboot_instance, type: %s', async (type) => {
      const args = message('reboot_instance', { instance: uuid, type });
      expect(await isUnderstood(await client.ask('reboot_instance', args))).toBe('done');
    });

    it('create_snapshot', async () => {
      const args = message('create_snapshot', { instance: uuid, volume: volumes.boot });
      expect(await isUnderstood(await client.ask('create_snapshot', args))).toBe('done');
    });

    it('resize_vm', async () => {
      const args = message('resize_vm', { instance: uuid });
      expect(await isUnderstood(await client.ask('resize_vm', args))).toBe(expected('resize_vm'));
    });

    it('reset_instance_admin_password', async () => {
      const args = message('reset_instance_admin_password', { instance: uuid });
      const answered = await client.ask<{ operation: Operation }>('reset_instance_admin_password', args);
      expect(await isUnderstood(answered)).toBe(expected('reset_instance_admin_password'));
    });

    it('set_interface_qos', async () => {
      const [nic] = node.service.getInstance(uuid).interfaces;
      const args = message('set_interface_qos', { interface: nic?.port_id, pps: 1000, bps: 1_000_000 });
      expect(await isUnderstood(await client.ask('set_interface_qos', args))).toBe('done');
    });

    it('would be told of a message that is not understood', async () => {
      const args = { ...message('resize_vm', { instance: uuid }), new_flavour: '4c8g' };
      await expect(client.ask<{ operation: Operation }>('resize_vm', args).then(isUnderstood)).rejects.toThrow();
    });

    it('report_node_status has every field that the platform reads, of the kind that it reads', async () => {
      const wanted = parse(seedNodeStatus) as Record<string, unknown> & { instances: [Record<string, unknown>] };
      const status = () => server.reports.filter((each) => each.method === 'report_node_status').at(-1)?.args;
      await expect.poll(() => status()?.instances, { timeout: 10_000 }).toHaveLength(1);
      const told = status() as typeof wanted;
      for (const [name, value] of Object.entries({ ...wanted, ready: true })) {
        expect(typeof told[name], name).toBe(typeof value);
      }
      expect(told).toMatchObject({ hostname, ready: true, node_type: 'BM', DPU_model: 'BF2', total_cpu: 64 });
      const [instance] = told.instances;
      expect(Object.keys(instance)).toEqual(expect.arrayContaining(Object.keys(wanted.instances[0])));
      expect(String(wanted.instances[0].status).split('/')).toContain(instance.status);
    });
  });
});
