import { randomUUID } from 'node:crypto';
import { DpuError } from '../../core/errors.ts';
import type {
  AuditView,
  BindingView,
  Caller,
  ComputeService,
  FunctionView,
  MutatingMethod,
  ServiceEvent,
} from '../../core/ports/compute-service.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { BiosReport, HealthReport } from '../../schemas/generated/rest.ts';

/** A change that the service was asked for. */
export interface Submitted {
  readonly method: MutatingMethod;
  readonly args: Readonly<Record<string, unknown>>;
  readonly caller: Caller;
}

/** A ComputeService in memory, without plans: operations end when the test says so, or at once. */
export interface FakeService extends ComputeService {
  readonly submitted: readonly Submitted[];
  /** false: an operation stays `running` until `end` is called. */
  endAtOnce: boolean;
  /** Whether the broker is away. */
  platformAway: boolean;
  /** What every call throws from now on; null: none. */
  failure: Error | null;
  /** What `submit` waits for first. */
  gate: Promise<unknown>;
  readonly node: NodeStatus;
  /** Newest events that are held for subscribers who come back. */
  held: number;
  addInstance(fields?: Partial<Instance>): Instance;
  step(operation: string, done: number, current: string): void;
  end(operation: string, state?: Operation['state'], error?: Operation['error']): Operation;
  emit(type: ServiceEvent['type'], data: ServiceEvent['data']): void;
  readonly subscribers: number;
}

const at = '2026-11-21T05:00:00.000Z';
const kinds: Readonly<Partial<Record<MutatingMethod, Operation['kind']>>> = {
  build_and_run_instance: 'build',
  pause_vm: 'pause',
  unpause_vm: 'unpause',
  suspend_instance: 'suspend',
  resume_instance: 'resume',
  rebuild_instance: 'rebuild',
  rescue_instance: 'rescue',
  unrescue_instance: 'unrescue',
  resize_vm: 'resize',
  reset_instance_admin_password: 'reset_admin_password',
};
const biosReport: BiosReport = {
  controlled: true,
  baseline: 'captured',
  captured_at: at,
  settings: 2,
  differing: [{ name: 'SlotPower', baseline: true, now: false, next: true }],
  unsafe: [],
};

/** A check for each reason that holds. */
function healthOf(node: NodeStatus, platformAway: boolean): HealthReport['checks'] {
  const held = node.not_ready_reasons.map(({ id, message, since }) => ({
    id,
    state: 'fail' as const,
    reason: id,
    found: message,
    todo: 'mend it',
    since,
  }));
  const fine = { id: 'clock', state: 'ok' as const, reason: null, found: 'synchronised', todo: null, since: null };
  const away = { ...fine, id: 'broker', state: 'unknown' as const, found: 'not connected now: amqp' };
  return [fine, ...(platformAway ? [away] : []), ...held];
}
const steps = ['ensure-function', 'bind', 'power-on'];

/** Makes one with no instances. */
export function createFakeService(): FakeService {
  const instances = new Map<string, Instance>();
  const operations = new Map<string, Operation>();
  const submitted: Submitted[] = [];
  const audit: AuditView[] = [];
  const listeners = new Set<(event: ServiceEvent) => void>();
  const waiting = new Map<string, Set<() => void>>();
  let events: ServiceEvent[] = [];
  let lastEvent = 0;
  let maintenance: { enabled: boolean; reason: string | null } = { enabled: false, reason: null };

  const node: NodeStatus = {
    hostname: 'node-1',
    uuid: randomUUID(),
    ready: true,
    not_ready_reasons: [],
    node_type: 'BM',
    DPU_model: 'BF2',
    total_cpu: 64,
    used_cpu: 0,
    total_mem: 524288,
    used_mem: 0,
    serial_number: null,
    host_power: 'off',
    generation: 1,
    reported_at: at,
    instances: [],
  };

  function check(): void {
    if (fake.failure) throw fake.failure;
  }
  function find<Thing>(things: Map<string, Thing>, id: string, what: string): Thing {
    check();
    const thing = things.get(id);
    if (!thing) throw new DpuError('not_found', `there is no such ${what}`);
    return thing;
  }
  function put(operation: Operation): Operation {
    operations.set(operation.id, operation);
    fake.emit('operation', operation);
    return operation;
  }
  function page<Thing>(all: readonly Thing[], limit: number | undefined, cursor: string | undefined) {
    const start = cursor === undefined ? 0 : Number(cursor);
    const end = start + (limit ?? 100);
    return { items: all.slice(start, end), ...(end < all.length ? { next: String(end) } : {}) };
  }

  const fake: FakeService = {
    submitted,
    endAtOnce: true,
    platformAway: false,
    failure: null,
    gate: Promise.resolve(),
    node,
    held: 100,
    get subscribers() {
      return listeners.size;
    },
    addInstance: (fields = {}) => {
      const instance: Instance = {
        uuid: randomUUID(),
        name: 'i1',
        status: 'up',
        state: 'active',
        task: null,
        flavor: { name: '4c8g', vcpus: 4, memory_mib: 8192 },
        interfaces: [
          {
            port_id: 'port-1',
            function_id: 'fn-1',
            mac: 'fa:16:3e:00:00:01',
            bdf: null,
            bdf_state: 'pending',
            representor: null,
            ips: ['10.0.0.2'],
            qos: null,
          },
        ],
        volumes: [
          {
            volume_id: 'vol-1',
            function_id: 'fn-2',
            bdf: '0000:03:00.1',
            bdf_state: 'assigned',
            boot: true,
            size_bytes: 1073741824,
            read_only: false,
          },
        ],
        todo: null,
        generation: 1,
        ...fields,
      };
      instances.set(instance.uuid, instance);
      return instance;
    },
    emit: (type, data) => {
      lastEvent += 1;
      const event = { id: lastEvent, at, type, data };
      events = [...events, event].slice(-fake.held);
      for (const listener of listeners) listener(event);
    },
    step: (id, done, current) => {
      const operation = find(operations, id, 'operation');
      put({
        ...operation,
        progress: { done, total: steps.length },
        steps: operation.steps.map((step, index) => ({
          ...step,
          phase: index < done ? 'done' : step.name === current ? 'doing' : 'pending',
        })),
      });
    },
    end: (id, state = 'succeeded', error = null) => {
      const operation = find(operations, id, 'operation');
      const done = state === 'succeeded' ? operation.progress.total : operation.progress.done;
      const ended = put({ ...operation, state, error, progress: { ...operation.progress, done } });
      for (const wake of waiting.get(id) ?? []) wake();
      return ended;
    },
    submit: async (method, args, caller) => {
      await fake.gate;
      check();
      const fields: Readonly<Record<string, unknown>> = { ...args };
      submitted.push({ method, args: fields, caller });
      const uuid = typeof fields.uuid === 'string' ? fields.uuid : undefined;
      let instance = uuid ?? randomUUID();
      if (method === 'build_and_run_instance') {
        fake.addInstance({ uuid: instance, name: String(fields.name), state: 'building', status: 'down' });
      } else if (method !== 'set_interface_qos') instance = find(instances, instance, 'instance').uuid;
      const requestId = typeof fields.request_id === 'string' ? fields.request_id : null;
      const operation = put({
        id: randomUUID(),
        kind: kinds[method] ?? (method.replace('_instance', '') as Operation['kind']),
        instance,
        state: 'running',
        progress: { done: 0, total: steps.length },
        steps: steps.map((name) => ({ name, phase: 'pending', started_at: null, ended_at: null, attempts: 0 })),
        result: null,
        error: null,
        requested_by: caller.by,
        request_id: requestId,
        created_at: at,
        updated_at: at,
      });
      audit.unshift({ at, by: caller.by, action: method, instance, operation: operation.id });
      return fake.endAtOnce ? fake.end(operation.id) : operation;
    },
    waitForEnd: async (id, signal) => {
      const isOver = (): boolean => !['queued', 'running'].includes(find(operations, id, 'operation').state);
      if (isOver()) return find(operations, id, 'operation');
      signal?.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const wakers = waiting.get(id) ?? new Set();
        waiting.set(id, wakers.add(resolve));
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      return find(operations, id, 'operation');
    },
    membership: () => ({ member: true, since: null, reason: null }),
    setMembership: async ({ member }) => ({ member, since: null, reason: null }),
    identity: () => ({
      version: 1,
      uuid: node.uuid,
      hostname: node.hostname,
      host_nqn: null,
      initiator_iqn: null,
      bios_baseline: null,
      exported_at: at,
    }),
    bios: async () => biosReport,
    captureBios: async () => biosReport,
    restoreBios: async () => biosReport,
    health: () => ({ ready: node.ready, checks: healthOf(node, fake.platformAway) }),
    power: () => ({ state: node.host_power, instance: null, operation: null, owner: null }),
    nodeStatus: () => {
      check();
      return { ...node, instances: [...instances.values()] };
    },
    listInstances: ({ state, limit, cursor }) => {
      check();
      const matching = [...instances.values()].filter((each) => state === undefined || each.state === state);
      const { items, ...rest } = page(matching, limit, cursor);
      return { instances: items, ...rest };
    },
    getInstance: (uuid) => find(instances, uuid, 'instance'),
    listOperations: ({ instance, state, limit, cursor }) => {
      check();
      const matching = [...operations.values()].filter(
        (each) =>
          (instance === undefined || each.instance === instance) && (state === undefined || each.state === state),
      );
      const { items, ...rest } = page(matching, limit, cursor);
      return { operations: items, ...rest };
    },
    getOperation: (id) => find(operations, id, 'operation'),
    cancelOperation: async (id) => {
      if (find(operations, id, 'operation').state !== 'running') throw new DpuError('bad_state', 'it has ended');
      return await Promise.resolve(fake.end(id, 'cancelled'));
    },
    retryOperation: async (id) => {
      if (find(operations, id, 'operation').state !== 'stuck') throw new DpuError('bad_state', 'it is not stuck');
      return await Promise.resolve(fake.end(id, 'succeeded'));
    },
    getConsole: async ({ uuid, type }) => {
      find(instances, uuid, 'instance');
      if (type === 'vnc') throw new DpuError('unsupported', 'there is no screen');
      return await Promise.resolve({ type, url: 'ws://node-1/console', token: 'once', expires_at: at });
    },
    consoleLog: async () => await Promise.resolve(Buffer.from('login: ')),
    diagnostics: async (uuid) => {
      find(instances, uuid, 'instance');
      return await Promise.resolve({
        state: 'running',
        uptime_s: 60,
        vcpus: 4,
        cpu_time_ms: 6000,
        memory_mib: 8192,
        disks: [],
        nics: [],
      });
    },
    listFunctions: () => {
      const view: FunctionView = {
        id: 'fn-1',
        instance: null,
        type: 'PF',
        class: 'virtio-net',
        mac: null,
        bdf: null,
        bdf_state: 'pending',
        representor: null,
        plugged: false,
        phase: 'ensured',
        owner: 'foreign',
      };
      return [view];
    },
    listBindings: () => {
      const view: BindingView = {
        function_id: 'fn-1',
        instance: node.uuid,
        kind: 'port',
        port_id: 'port-1',
        volume_id: null,
        representor: 'pf1rep0',
        bdev: null,
        mac: 'fa:16:3e:00:00:01',
        phase: 'bound',
      };
      return [view];
    },
    listAudit: (limit) => audit.slice(0, limit),
    maintenance: () => maintenance,
    setMaintenance: async (enabled, reason, caller) => {
      maintenance = { enabled, reason };
      audit.unshift({ at, by: caller.by, action: 'set_maintenance', instance: null, operation: null });
      await Promise.resolve();
    },
    subscribe: (listener, since) => {
      if (since !== undefined) for (const event of events) if (event.id > since) listener(event);
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  return fake;
}
