import { randomUUID } from 'node:crypto';
import { rescueFunctionId } from '../../../core/derived-ids.ts';
import { DpuError } from '../../../core/errors.ts';
import type { BindingView, ComputeService } from '../../../core/ports/compute-service.ts';
import { asId, type InstanceId } from '../../../core/units.ts';
import type { Instance } from '../../../schemas/generated/instance.ts';
import type { Operation } from '../../../schemas/generated/operation.ts';

/** A node's use cases that outlive a restart of the adapter: operations end at once, the same request again is the same operation. */
export interface FakeCompute {
  readonly service: ComputeService;
  /** Instance -> its state. */
  readonly instances: Map<string, Instance['state']>;
  /** What is bound to functions of instances. */
  readonly bindings: Pick<BindingView, 'function_id' | 'instance' | 'volume_id' | 'port_id'>[];
  readonly submitted: { readonly method: string; readonly args: Readonly<Record<string, unknown>> }[];
  /** What the next operation of this method ends with; it is taken once. */
  readonly failNext: Map<string, NonNullable<Operation['error']>>;
  /** What operations of this method answer; absent: nothing. */
  readonly results: Map<string, NonNullable<Operation['result']>>;
  /** Called before each submit; what it throws is the answer. */
  onSubmit: (method: string) => void | Promise<void>;
}

const states: Readonly<Record<string, Instance['state']>> = {
  build_and_run_instance: 'active',
  start_instance: 'active',
  reboot_instance: 'active',
  stop_instance: 'stopped',
  pause_vm: 'paused',
  unpause_vm: 'active',
  suspend_instance: 'suspended',
  resume_instance: 'active',
  rescue_instance: 'rescued',
  unrescue_instance: 'active',
  destroy_instance: 'deleted',
};

/** A node with no instance. */
export function createFakeCompute(): FakeCompute {
  const instances = new Map<string, Instance['state']>();
  const byKey = new Map<string, string>();
  const operations = new Map<string, Operation>();
  const fake: FakeCompute = {
    instances,
    bindings: [],
    submitted: [],
    failNext: new Map(),
    results: new Map(),
    onSubmit: () => {},
    service: {
      async submit(method: string, args: Readonly<Record<string, unknown>>) {
        await fake.onSubmit(method);
        const uuid = String(args.uuid);
        const key = method === 'build_and_run_instance' ? `build:${uuid}` : `request:${String(args.request_id)}`;
        const before = operations.get(byKey.get(key) ?? '');
        if (before) return before;
        if (method !== 'build_and_run_instance' && !instances.has(uuid))
          throw new DpuError('not_found', 'instance does not exist');
        fake.submitted.push({ method, args });
        const error = fake.failNext.get(method) ?? null;
        fake.failNext.delete(method);
        const operation = {
          id: randomUUID(),
          state: error ? 'failed' : 'succeeded',
          error,
          result: error ? null : (fake.results.get(method) ?? null),
        } as Operation;
        operations.set(operation.id, operation);
        byKey.set(key, operation.id);
        const state = states[method];
        if (error && method === 'build_and_run_instance') instances.set(uuid, 'error');
        else if (state !== undefined && !error) instances.set(uuid, state);
        if (method === 'destroy_instance' && !error) byKey.delete(`build:${uuid}`);
        if (!error) device(method, uuid, args);
        if (!error) rescueDisk(method, uuid, args.volume as { readonly volume_id: string } | undefined);
        return operation;
      },
      waitForEnd: async (id: string) => operations.get(id),
      retryOperation: async (id: string) => operations.get(id),
      getInstance(uuid: string) {
        const state = instances.get(uuid);
        if (state === undefined) throw new DpuError('not_found', 'instance does not exist');
        return { uuid, state, flavor: { name: 'f', vcpus: 1, memory_mib: 1024 }, interfaces: [], volumes: [] };
      },
      listBindings: () => fake.bindings,
      nodeStatus: () => ({
        ready: true,
        instances: [...instances].map(([uuid, state]) => ({ uuid, state })),
      }),
    } as unknown as ComputeService,
  };

  /** Disks and NICs come and go one by one. */
  function device(method: string, instance: string, args: Readonly<Record<string, unknown>>): void {
    const {
      volume,
      network,
      volume_id: lost,
      port_id: gone,
    } = args as {
      readonly volume?: { readonly volume_id: string };
      readonly network?: { readonly port_id: string };
      readonly volume_id?: string;
      readonly port_id?: string;
    };
    const bind = (volume_id: string | null, port_id: string | null): number =>
      fake.bindings.push({ function_id: randomUUID(), instance, volume_id, port_id });
    if (method === 'attach_volume' && volume) bind(volume.volume_id, null);
    if (method === 'attach_interface' && network) bind(null, network.port_id);
    if (method !== 'detach_volume' && method !== 'detach_interface') return;
    const key = lost ?? gone;
    const left = fake.bindings.filter((each) => each.volume_id !== key && each.port_id !== key);
    fake.bindings.splice(0, fake.bindings.length, ...left);
  }

  /** The disk of a rescue comes and goes with it. */
  function rescueDisk(method: string, uuid: string, volume: { readonly volume_id: string } | undefined): void {
    const id = rescueFunctionId(asId<InstanceId>(uuid));
    if (method === 'rescue_instance' && volume)
      fake.bindings.push({ function_id: id, instance: uuid, volume_id: volume.volume_id, port_id: null });
    if (method !== 'unrescue_instance' && method !== 'destroy_instance') return;
    const left = fake.bindings.filter(({ function_id: each }) => each !== id);
    fake.bindings.splice(0, fake.bindings.length, ...left);
  }
  return fake;
}
