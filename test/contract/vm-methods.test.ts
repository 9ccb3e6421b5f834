/** Every method of the platform RPC on a node of virtual machines, called by stock oslo.messaging over a real broker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { validate } from '../../kit/validate.ts';
import type { RpcMethods } from '../../schemas/generated/rpc.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode, volumes } from './python/amqp-node.ts';
import { haveStock, type PlatformClient, startClient } from './python/platform.ts';

type Answers = { readonly [Method in keyof RpcMethods]: RpcMethods[Method]['answer'] };
type Ended = { readonly operation: Answers['get_operation'] };

const uuid = 'c0ffee00-0000-4000-8000-0000000000a1';
const mover = 'c0ffee00-0000-4000-8000-0000000000a2';
const waits = { wait: true };

describe.skipIf(!haveStock())('the platform RPC of a VM node, with stock oslo.messaging as the platform', () => {
  let rabbit: TestRabbit;
  let world: SimWorld;
  let node: AmqpNode;
  let client: PlatformClient;

  beforeAll(async () => {
    rabbit = await startRabbit();
    world = amqpWorld({}, memoryWorldStore(), 'VM');
    node = await startAmqpNode({ url: rabbit.url, world, nodeType: 'VM' });
    client = await startClient(rabbit.url, hostname);
    await client.reachesNode();
  });
  afterAll(async () => {
    await client?.stop();
    await node?.stop();
    world?.close();
    await rabbit?.stop();
  });

  async function call<Method extends keyof RpcMethods>(method: Method, args: object = {}): Promise<Answers[Method]> {
    const answer = await client.call(method, { ...args }, {});
    return validate<Answers[Method]>(`rpc.json#/properties/${method}/properties/answer`, answer, method);
  }

  async function changes(method: keyof RpcMethods, args: object): Promise<Ended['operation']> {
    const { operation } = (await call(method, { ...args, ...waits })) as Ended;
    expect(operation).toMatchObject({ state: 'succeeded', error: null, requested_by: 'amqp' });
    return operation;
  }

  const instance = (of = uuid) => call('get_instance', { uuid: of });
  const machine = (of = uuid) => world.state.machines.rows().find((each) => each.instance === of);
  const becomes = async (method: keyof RpcMethods, state: string, runs: string, args: object = {}): Promise<void> => {
    await changes(method, { uuid, ...args });
    expect(await instance()).toMatchObject({ state });
    expect(machine()?.state).toBe(runs);
  };

  const scenario: Readonly<Record<keyof RpcMethods, () => Promise<unknown>>> = {
    async report_node_status() {
      const status = await call('report_node_status');
      expect(status).toMatchObject({ ready: true, node_type: 'VM', used_cpu: 0, host_power: 'on', instances: [] });
    },
    async build_and_run_instance() {
      const args = { name: 'i1', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }] };
      await changes('build_and_run_instance', { uuid, ...args });
      const moves = { name: 'i2', flavor: '2c4g', volumes: [{ volume_id: volumes.boot, bootable: true }] };
      await changes('build_and_run_instance', { uuid: mover, ...moves });
      expect(await call('report_node_status')).toMatchObject({ used_cpu: 6, used_mem: 12_288 });
      const large = { name: 'i3', image: 'demo', flavor: '60c8g' };
      expect(await client.fail('build_and_run_instance', large)).toMatchObject({
        base: 'dpu_compute.errors.Exhausted',
        code: 'exhausted',
      });
    },
    get_instance: async () => expect(await instance()).toEqual(node.service.getInstance(uuid)),
    async list_instances() {
      expect((await call('list_instances')).instances.map((each) => each.uuid)).toEqual([uuid, mover]);
    },
    async list_operations() {
      const { operations } = await call('list_operations', { instance: uuid });
      expect(operations.map((each) => each.kind)).toEqual(['build']);
    },
    async get_operation() {
      const [operation] = (await call('list_operations')).operations;
      expect(await call('get_operation', { id: operation?.id })).toEqual(operation);
    },
    stop_instance: () => becomes('stop_instance', 'stopped', 'off', { timeout: 5 }),
    start_instance: () => becomes('start_instance', 'active', 'running'),
    async reboot_instance() {
      const boots = machine()?.boots ?? 0;
      await becomes('reboot_instance', 'active', 'running', { type: 'soft' });
      await becomes('reboot_instance', 'active', 'running', { type: 'hard' });
      expect(machine()?.boots).toBe(boots + 2);
    },
    async attach_interface() {
      await changes('attach_interface', { uuid, network: { subnet: 'net1', mac: '02-00-00-00-00-AA' } });
      expect(machine()?.devices.map((each) => each.mac)).toContain('02:00:00:00:00:aa');
    },
    async detach_interface() {
      const added = (await instance()).interfaces.find((each) => each.mac === '02:00:00:00:00:aa');
      await changes('detach_interface', { uuid, port_id: added?.port_id });
      expect(machine()?.devices).toHaveLength(2);
    },
    async attach_volume() {
      await changes('attach_volume', { uuid, volume: { volume_id: volumes.data } });
      expect(machine()?.devices).toHaveLength(3);
    },
    async detach_volume() {
      await changes('detach_volume', { uuid, volume_id: volumes.data });
      expect(machine()?.devices).toHaveLength(2);
    },
    pause_vm: () => becomes('pause_vm', 'paused', 'paused'),
    unpause_vm: () => becomes('unpause_vm', 'active', 'running'),
    suspend_instance: () => becomes('suspend_instance', 'suspended', 'suspended'),
    resume_instance: () => becomes('resume_instance', 'active', 'running'),
    async rebuild_instance() {
      const before = machine()?.bootedFrom;
      await becomes('rebuild_instance', 'active', 'running', { image: 'demo' });
      expect(machine()?.bootedFrom).not.toBe(before);
    },
    rescue_instance: () => becomes('rescue_instance', 'rescued', 'running'),
    unrescue_instance: () => becomes('unrescue_instance', 'active', 'running'),
    async resize_vm() {
      await becomes('resize_vm', 'active', 'running', { new_flavor: '8c16g' });
      expect(machine()?.flavor).toEqual({ name: '8c16g', vcpus: 8, memory_mib: 16_384 });
    },
    async create_snapshot() {
      const [boot] = (await instance()).volumes;
      await changes('create_snapshot', { uuid, volume_id: boot?.volume_id, name: 's1' });
    },
    // the node of this test has no REST interface that a token could be redeemed at
    async get_instance_console() {
      expect(await client.fail('get_instance_console', { uuid, type: 'vnc' })).toMatchObject({ code: 'unsupported' });
    },
    async reset_instance_admin_password() {
      const { result } = await changes('reset_instance_admin_password', { uuid, new_password: 'x' });
      expect(result).toMatchObject({ takes_effect: 'now' });
      expect(machine()?.adminPassword?.user).toBe('root');
    },
    async resize_volume() {
      const [boot] = (await instance()).volumes;
      const size = 2 * (boot?.size_bytes ?? 0);
      await changes('resize_volume', { uuid, volume_id: boot?.volume_id, size_bytes: size });
      expect((await instance()).volumes[0]?.size_bytes).toBe(size);
    },
    async set_interface_qos() {
      const [nic] = (await instance()).interfaces;
      await changes('set_interface_qos', { port_id: nic?.port_id, bps: 1_000_000, direction: 'both' });
    },
    async prepare_migration() {
      expect(await client.fail('prepare_migration', { uuid, target: 'other' })).toMatchObject({ code: 'unsupported' });
      await changes('prepare_migration', { uuid: mover, target: 'other' });
      expect(machine(mover)).toBeUndefined();
    },
    async abort_migration() {
      await changes('abort_migration', { uuid: mover });
      expect(machine(mover)?.state).toBe('running');
      await changes('prepare_migration', { uuid: mover, target: 'other' });
    },
    async finish_migration() {
      await changes('finish_migration', { uuid: mover });
      expect((await call('list_instances')).instances.map((each) => each.uuid)).toEqual([uuid]);
    },
    async cancel_operation() {
      const resume = world.faults.order({ port: 'agent', method: 'attachDevice', kind: 'hang' });
      const { operation } = (await call('attach_interface', { uuid, network: { subnet: 'net1' } })) as Ended;
      await call('cancel_operation', { id: operation.id });
      await expect.poll(() => node.service.getOperation(operation.id).state, { timeout: 20_000 }).toBe('cancelled');
      resume();
      expect(machine()?.devices).toHaveLength(2);
    },
    async retry_operation() {
      const [operation] = (await call('list_operations')).operations;
      expect(await client.fail('retry_operation', { id: operation?.id })).toMatchObject({ code: 'bad_state' });
    },
    async destroy_instance() {
      await changes('destroy_instance', { uuid });
      expect(world.state.machines.rows()).toEqual([]);
      expect(await call('report_node_status')).toMatchObject({ used_cpu: 0, used_mem: 0, instances: [] });
    },
  };

  it('names every method of the schema', () => {
    expect(Object.keys(scenario).sort()).toEqual(Object.keys(rpcSchema.properties).sort());
  });

  it.each(Object.entries(scenario))('%s', async (_method, run) => {
    await run();
  });
});
