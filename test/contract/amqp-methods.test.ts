/** Every method of the platform RPC, called by stock oslo.messaging over a real broker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DpuError, type ErrorCode, errorTable } from '../../core/errors.ts';
import type { SimWorld } from '../../drivers/sim/world.ts';
import { validate } from '../../kit/validate.ts';
import type { RpcMethods } from '../../schemas/generated/rpc.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import { startRabbit, type TestRabbit } from '../support/rabbitmq.ts';
import { type AmqpNode, amqpWorld, hostname, startAmqpNode, volumes } from './python/amqp-node.ts';
import { captureLog } from './python/capture-log.ts';
import {
  haveStock,
  type PlatformClient,
  type PlatformServer,
  type Report,
  startClient,
  startServer,
} from './python/platform.ts';

type Answers = { readonly [Method in keyof RpcMethods]: RpcMethods[Method]['answer'] };
type Ended = { readonly operation: Answers['get_operation'] };

const uuid = 'c0ffee00-0000-4000-8000-000000000001';
const absent = 'c0ffee00-0000-4000-8000-00000000dead';
const waits = { wait: true };

describe.skipIf(!haveStock())('the platform RPC, with stock oslo.messaging as the platform', () => {
  let rabbit: TestRabbit;
  let world: SimWorld;
  let node: AmqpNode;
  let client: PlatformClient;
  let server: PlatformServer;
  const { log, lines } = captureLog(afterAll);
  let thrown: Error = new Error('none');

  beforeAll(async () => {
    rabbit = await startRabbit();
    server = await startServer(rabbit.url);
    world = amqpWorld();
    const around = (service: AmqpNode['service']): AmqpNode['service'] => ({
      ...service,
      getOperation(id) {
        if (id === absent) throw thrown;
        return service.getOperation(id);
      },
    });
    node = await startAmqpNode({ url: rabbit.url, world, log, around });
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

  /** Calls, checks the answer by its schema, and answers it. */
  async function call<Method extends keyof RpcMethods>(
    method: Method,
    args: object = {},
    options = {},
  ): Promise<Answers[Method]> {
    const answer = await client.call(method, { ...args }, options);
    return validate<Answers[Method]>(`rpc.json#/properties/${method}/properties/answer`, answer, method);
  }

  async function changes(method: keyof RpcMethods, args: object): Promise<Ended['operation']> {
    const { operation } = (await call(method, { ...args, ...waits })) as Ended;
    expect(operation).toMatchObject({ state: 'succeeded', error: null, requested_by: 'amqp' });
    return operation;
  }

  async function unsupported(method: keyof RpcMethods, args: object): Promise<void> {
    const failure = await client.fail(method, { ...args });
    expect(failure).toMatchObject({ base: 'dpu_compute.errors.Unsupported', code: 'unsupported' });
  }

  const instance = () => call('get_instance', { uuid });

  const scenario: Readonly<Record<keyof RpcMethods, () => Promise<unknown>>> = {
    async report_node_status() {
      const status = await call('report_node_status');
      expect(status).toMatchObject({ hostname, ready: true, node_type: 'BM', DPU_model: 'BF2', instances: [] });
    },
    async build_and_run_instance() {
      const args = { uuid, name: 'i1', image: 'demo', flavor: '4c8g', networks: [{ subnet: 'net1' }], volumes: [] };
      const operation = await changes('build_and_run_instance', args);
      expect(operation).toMatchObject({ kind: 'build', instance: uuid });
      expect(await instance()).toMatchObject({ uuid, name: 'i1', status: 'up', state: 'active' });
      // the whole host is the instance's
      expect(await call('report_node_status')).toMatchObject({ used_cpu: 64, used_mem: 524_288 });
      await expect.poll(() => node.service.nodeStatus().host_power, { timeout: 10_000 }).toBe('on');
    },
    async get_instance() {
      expect(await instance()).toEqual(node.service.getInstance(uuid));
    },
    async list_instances() {
      expect((await call('list_instances')).instances.map((each) => each.uuid)).toEqual([uuid]);
      expect(await call('list_instances', { state: 'stopped' })).toEqual({ instances: [] });
    },
    async list_operations() {
      const { operations } = await call('list_operations', { instance: uuid, limit: 5 });
      expect(operations.map((each) => each.kind)).toEqual(['build']);
      expect(await call('list_operations', { instance: absent })).toEqual({ operations: [] });
    },
    async get_operation() {
      const [operation] = (await call('list_operations')).operations;
      expect(await call('get_operation', { id: operation?.id })).toEqual(operation);
    },
    async stop_instance() {
      await changes('stop_instance', { uuid, timeout: 5 });
      expect(await instance()).toMatchObject({ status: 'down', state: 'stopped' });
      expect(world.host.row().power).toBe('off');
    },
    async start_instance() {
      await changes('start_instance', { uuid });
      expect(await instance()).toMatchObject({ status: 'up', state: 'active' });
      expect(world.host.row().power).toBe('on');
    },
    async reboot_instance() {
      const { boots } = world.host.row();
      await changes('reboot_instance', { uuid, type: 'soft' });
      await changes('reboot_instance', { uuid, type: 'hard' });
      expect(world.host.row().boots).toBe(boots + 2);
    },
    async attach_interface() {
      await changes('attach_interface', { uuid, network: { subnet: 'net1', mac: '02-00-00-00-00-AA' } });
      expect((await instance()).interfaces.map((each) => each.mac)).toContain('02:00:00:00:00:aa');
    },
    async detach_interface() {
      const added = (await instance()).interfaces.find((each) => each.mac === '02:00:00:00:00:aa');
      await changes('detach_interface', { uuid, port_id: added?.port_id });
      expect((await instance()).interfaces).toHaveLength(1);
    },
    async attach_volume() {
      await changes('attach_volume', { uuid, volume: { volume_id: volumes.data } });
      expect((await instance()).volumes.map((each) => each.volume_id)).toContain(volumes.data);
    },
    async detach_volume() {
      await changes('detach_volume', { uuid, volume_id: volumes.data });
      expect((await instance()).volumes).toHaveLength(1);
    },
    pause_vm: () => unsupported('pause_vm', { uuid }),
    unpause_vm: () => unsupported('unpause_vm', { uuid }),
    suspend_instance: () => unsupported('suspend_instance', { uuid }),
    resume_instance: () => unsupported('resume_instance', { uuid }),
    async rebuild_instance() {
      const [old] = (await instance()).volumes;
      await changes('rebuild_instance', { uuid, userdata: '#cloud-config\n' });
      const { state, volumes: now } = await instance();
      expect([state, now.length, now[0]?.boot]).toEqual(['active', 1, true]);
      expect(now[0]?.volume_id).not.toBe(old?.volume_id);
    },
    async rescue_instance() {
      await changes('rescue_instance', { uuid, admin_pass: 'x' });
      expect(await instance()).toMatchObject({ status: 'down', state: 'rescued' });
      expect((await instance()).volumes).toHaveLength(2);
    },
    async unrescue_instance() {
      await changes('unrescue_instance', { uuid });
      expect(await instance()).toMatchObject({ status: 'up', state: 'active' });
      expect((await instance()).volumes).toHaveLength(1);
    },
    resize_vm: () => unsupported('resize_vm', { uuid, new_flavor: '8c16g' }),
    async create_snapshot() {
      const [boot] = (await instance()).volumes;
      const { result } = await changes('create_snapshot', { uuid, volume_id: boot?.volume_id, name: 's1' });
      expect(result).toMatchObject({ volume_id: boot?.volume_id, name: 's1' });
    },
    get_instance_console: () => unsupported('get_instance_console', { uuid, type: 'serial' }),
    async reset_instance_admin_password() {
      const { result } = await changes('reset_instance_admin_password', { uuid, new_password: 'x' });
      expect(result).toEqual({ takes_effect: 'next_start', drive: false });
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
      expect((await instance()).interfaces[0]?.qos).toEqual({ bps: 1_000_000, pps: 0, direction: 'both' });
    },
    prepare_migration: () => unsupported('prepare_migration', { uuid, target: 'other' }),
    finish_migration: () => unsupported('finish_migration', { uuid }),
    abort_migration: () => unsupported('abort_migration', { uuid }),
    async cancel_operation() {
      const resume = world.faults.order({ port: 'snic', method: 'ensureFunction', kind: 'hang' });
      const args = { uuid, network: { subnet: 'net1' } };
      const { operation } = (await call('attach_interface', args)) as Ended;
      expect(['queued', 'running']).toContain(operation.state);
      await call('cancel_operation', { id: operation.id });
      await expect.poll(() => node.service.getOperation(operation.id).state, { timeout: 20_000 }).toBe('cancelled');
      resume();
      expect((await instance()).interfaces).toHaveLength(1);
      expect(await client.fail('cancel_operation', { id: operation.id })).toMatchObject({ code: 'bad_state' });
    },
    async retry_operation() {
      const [operation] = (await call('list_operations')).operations;
      const failure = await client.fail('retry_operation', { id: operation?.id });
      expect(failure).toMatchObject({ base: 'dpu_compute.errors.BadState', code: 'bad_state' });
    },
    async destroy_instance() {
      const operation = await changes('destroy_instance', { uuid });
      expect(await call('list_instances')).toEqual({ instances: [] });
      // an instance that is gone answers its last destroy
      expect(((await call('destroy_instance', { uuid })) as Ended).operation.id).toBe(operation.id);
    },
  };

  it('names every method of the schema', () => {
    expect(Object.keys(scenario).sort()).toEqual(Object.keys(rpcSchema.properties).sort());
  });

  it.each(Object.entries(scenario))('%s', async (_method, run) => {
    await run();
  });

  const statesOf = (reports: readonly Report[], of: string): readonly string[] =>
    reports
      .filter((each) => each.method === 'report_instance_status' && each.args.uuid === of)
      .map((each) => String(each.args.state));

  it('told the platform of the instance in order, and at last the truth', async () => {
    await expect.poll(() => statesOf(server.reports, uuid).at(-1), { timeout: 10_000 }).toBe('deleted');
    const states = statesOf(server.reports, uuid).filter((state, index, all) => state !== all[index - 1]);
    const seen = ['building', 'active', 'stopped', 'active', 'rescued', 'active', 'deleting', 'deleted'];
    expect(states).toEqual(seen);
    const generations = server.reports
      .filter((each) => each.method === 'report_instance_status')
      .map((each) => Number(each.args.generation));
    expect(generations).toEqual(generations.toSorted((a, b) => a - b));
    for (const { method, args } of server.reports) {
      if (method === 'report_instance_status') validate('instance.json', { ...args }, method);
      else validate('node-status.json', { ...args }, method);
    }
  });

  it('told the platform of the node', async () => {
    const last = () => server.reports.filter((each) => each.method === 'report_node_status').at(-1)?.args.generation;
    await expect.poll(last, { timeout: 10_000 }).toBe(node.service.nodeStatus().generation);
  });

  it('answers at once with the journaled operation where nobody waits', async () => {
    const hold = world.faults.order({ port: 'snic', method: 'ensureFunction', kind: 'hang' });
    const args = { name: 'i2', image: 'demo', flavor: '4c8g', networks: [], volumes: [] };
    const { operation } = (await call('build_and_run_instance', args)) as Ended;
    expect(['queued', 'running']).toContain(operation.state);
    expect(node.service.getOperation(operation.id).kind).toBe('build');
    hold();
    await changes('destroy_instance', { uuid: operation.instance });
  });

  it('keeps a caller who waits longer than its call monitor by heartbeats', async () => {
    const slow = world.faults.order({ port: 'snic', method: 'ensureFunction', kind: 'slow', ms: 4000 });
    const args = { name: 'i3', image: 'demo', flavor: '4c8g', networks: [], volumes: [], ...waits };
    const prepare = { call_monitor_timeout: 2, timeout: 60 };
    const { operation } = (await call('build_and_run_instance', args, { prepare })) as Ended;
    slow();
    expect(operation.state).toBe('succeeded');
    await changes('destroy_instance', { uuid: operation.instance });
  });

  it('takes a cast, a call to the topic, and a cast to all nodes', async () => {
    expect(await client.call('report_node_status', {}, { prepare: { server: null } })).toMatchObject({ hostname });
    const build = { name: 'i4', image: 'demo', flavor: '4c8g', networks: [], volumes: [] };
    await client.call('build_and_run_instance', { ...build, uuid: absent, ...waits });
    await client.call('stop_instance', { uuid: absent }, { kind: 'cast', prepare: { server: null, fanout: true } });
    await expect.poll(() => node.service.getInstance(absent).state, { timeout: 10_000 }).toBe('stopped');
    await client.call('destroy_instance', { uuid: absent, ...waits }, { kind: 'cast' });
    await expect.poll(() => node.service.listInstances({}).instances, { timeout: 10_000 }).toEqual([]);
  });

  it.each(Object.keys(errorTable) as ErrorCode[])('fails as an exception of its own class: %s', async (code) => {
    thrown = new DpuError(code, 'as ordered', { field: 'networks[0].mac', details: { n: 1 } });
    expect(await client.fail('get_operation', { id: absent })).toEqual({
      class: errorTable[code].amqpClass,
      base: `dpu_compute.errors.${errorTable[code].amqpClass}`,
      text: 'as ordered',
      exc_type: null,
      code,
      field: 'networks[0].mac',
      details: { n: 1 },
    });
  });

  it('tells nothing of an error that is not in the table; the log has it', async () => {
    thrown = new TypeError('cannot read the inner thing');
    const failure = await client.fail('get_operation', { id: absent });
    expect(failure).toMatchObject({ class: 'Internal', code: 'internal' });
    expect(JSON.stringify(failure)).not.toContain('inner thing');
    expect(lines().filter((line) => line.includes('inner thing'))).toEqual([
      expect.stringContaining('"level":"error"'),
    ]);
  });
});
