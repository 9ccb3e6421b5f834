import { requestedInstanceId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type { OperationKind } from '../../core/instance-state.ts';
import type { Engine } from '../../core/operation/engine.ts';
import { isEnded, type OperationRecord } from '../../core/operation/journal.ts';
import { timestamp } from '../../core/ports/clock.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { Args, Caller, ComputeService, FunctionView, MutatingMethod } from '../../core/ports/compute-service.ts';
import type { AcceptResult } from '../../core/ports/node-store.ts';
import type { FunctionState } from '../../core/ports/snic-controller.ts';
import { asId, type InstanceId, type JsonObject, type OperationId, type PortId } from '../../core/units.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { type AcceptParts, kindOfMethod, type Resolved, resolveBuild, resolveChange } from './accept.ts';
import type { BiosKeeper } from './bios.ts';
import { diagnosticsOf } from './diagnostics.ts';
import type { EventFeed } from './events.ts';
import type { MembershipKeeper } from './membership.ts';
import type { NodeMonitor } from './node-monitor.ts';
import type { OneTimeTokens } from './one-time-tokens.ts';
import { operationView } from './views.ts';
import { patienceMs, within } from './within.ts';

/** What the use cases work with. */
export interface ComputeServiceParts extends Omit<AcceptParts, 'nodeType' | 'inventory'> {
  readonly driver: ComputeDriver;
  readonly engine: Engine;
  readonly monitor: NodeMonitor;
  readonly events: EventFeed;
  /** What is on the card that is not ours, as last seen. */
  readonly foreignFunctions: () => readonly FunctionState[];
  readonly bios: BiosKeeper;
  /** Asked for late: it works on the adapters, which are made with the use cases. */
  readonly membership: () => MembershipKeeper;
  /** What others call the node where it reaches volumes. */
  readonly initiator: InitiatorNames;
  /** Refuses an operation that there is no room for. @throws DpuError. */
  readonly admit: (kind: OperationKind) => Promise<void>;
  /** null: the host has no console that could be reached. */
  readonly consoles: ConsoleAccess | null;
}

/** Names of the node towards storage; null: none of its own. */
export interface InitiatorNames {
  readonly hostNqn: string | null;
  readonly initiatorIqn: string | null;
}

/** The way to an instance's console. */
export interface ConsoleAccess {
  readonly tokens: OneTimeTokens<InstanceId>;
  /** Where a token is redeemed: the address of a WebSocket. */
  url(token: string): string;
  /** The last of what it showed. */
  history(instance: InstanceId, bytes: number): Promise<Buffer>;
}

const defaultLimit = 100;

/** A repeat is told by its fingerprint alone: what it asks for may be taken by its own first try. */
const repeated: Resolved = { request: {}, newInstance: null, claimsHost: false, secrets: [] };

/** Makes the use cases. */
export function createComputeService(parts: ComputeServiceParts): ComputeService {
  const { store, engine, driver, monitor, events, random } = parts;
  const acceptParts: AcceptParts = { ...parts, nodeType: driver.nodeType, inventory: monitor.inventory };

  function operationOf(id: string): OperationRecord {
    const record = store.getOperation(asId<OperationId>(id));
    if (!record) throw new DpuError('not_found', 'operation does not exist', { field: 'id' });
    return record;
  }

  /** Instance that the request is about; a QoS request names only a port. */
  function instanceOf(method: MutatingMethod, args: JsonObject): InstanceId {
    if (method === 'set_interface_qos') {
      const binding = store.bindings().find((each) => each.kind === 'port' && each.key === (args.port_id as PortId));
      if (!binding) throw new DpuError('not_found', 'no instance has this port', { field: 'port_id' });
      return binding.instance;
    }
    if (typeof args.uuid === 'string') return asId<InstanceId>(args.uuid);
    return typeof args.request_id === 'string'
      ? requestedInstanceId(parts.node, args.request_id)
      : asId<InstanceId>(random.uuid());
  }

  function refuseNewInstance(): void {
    const reasons = monitor.status().not_ready_reasons;
    if (reasons.length === 0) return;
    throw new DpuError('unavailable', 'the node takes no new instance now', {
      details: { reasons: reasons.map(({ id }) => id) },
    });
  }

  function answer(result: AcceptResult, kind: OperationKind): OperationRecord {
    switch (result.outcome) {
      case 'accepted':
        engine.submit(result.operation);
        return result.operation;
      case 'same':
        return result.operation;
      case 'differs':
        throw new DpuError('conflict', 'the same request was made with other arguments', {
          ...(result.fields[0] === undefined ? {} : { field: result.fields[0] }),
          details: { operation: result.operation.id, differing: result.fields },
        });
      case 'operation-runs':
        throw new DpuError('conflict', 'another operation of the instance has not ended', {
          details: { operation: result.operation.id, kind: result.operation.kind, state: result.operation.state },
        });
      case 'host-claimed':
        throw new DpuError('conflict', 'the node has an instance already', { details: { instance: result.instance } });
      case 'exhausted': {
        const { what, wanted, free, total } = result;
        const name = what === 'vcpus' ? 'CPUs' : 'MiB of memory';
        throw new DpuError('exhausted', `the node has ${free} of ${total} ${name} left, and ${wanted} are wanted`, {
          field: kind === 'resize' ? 'new_flavor' : 'flavor',
          details: { wanted, free, total },
        });
      }
      case 'no-instance':
        throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
      case 'bad-state':
        throw new DpuError('bad_state', `not possible while the instance is ${result.state}`, {
          details: { state: result.state },
        });
    }
  }

  /** A destroy overtakes what runs: what can still be undone is, the rest ends first. */
  function overtake(operation: OperationRecord): void {
    if (operation.waitsFor !== null && engine.mayCancel(operation.waitsFor)) engine.cancel(operation.waitsFor);
  }

  function isKnown(key: string): boolean {
    try {
      return store.operationByKey(key) !== null;
    } catch {
      return false; // a daemon that stops may have closed its store by now; the first error says more
    }
  }

  async function submit<Method extends MutatingMethod>(
    method: Method,
    typedArgs: Args<Method>,
    caller: Caller,
  ): Promise<Operation> {
    const args = typedArgs as unknown as JsonObject;
    const kind = kindOfMethod[method];
    const planVersion = driver.planVersion(kind);
    if (planVersion === null) {
      throw new DpuError('unsupported', `${method} is not supported on a ${driver.nodeType} node`, {
        details: { method, node_type: driver.nodeType },
      });
    }
    const instance = instanceOf(method, args);
    const id = asId<OperationId>(random.uuid());
    const requestId = typeof args.request_id === 'string' ? args.request_id : null;
    const key = keyOf(kind, typeof args.uuid === 'string' ? instance : null, requestId);
    const before = key === null ? null : store.operationByKey(key);
    const { request_id: _id, wait: _wait, ...compared } = args;
    const fingerprint = Object.fromEntries(
      Object.entries({ ...compared, method }).map(([name, value]) => [name, store.hmac(value)]),
    );
    const isAnew =
      kind === 'destroy'
        ? before !== null && isEnded(before.state)
        : kind === 'build' &&
          requestId !== null &&
          before?.requestId !== requestId &&
          store.getInstance(instance)?.state === 'deleted';
    const isRepeat = before !== null && !isAnew;
    if (!isRepeat) await parts.admit(kind);
    if (kind === 'build' && !isRepeat) refuseNewInstance();
    const resolve = (): Promise<Resolved> =>
      method === 'build_and_run_instance'
        ? resolveBuild(acceptParts, instance, args as unknown as Args<'build_and_run_instance'>)
        : resolveChange(
            acceptParts,
            method as Exclude<MutatingMethod, 'build_and_run_instance'>,
            instance,
            args,
            requestId ?? id,
          );
    const resolved = isRepeat
      ? repeated
      : await resolve().catch((error: unknown) => {
          // its own first try may have been accepted meanwhile
          if (before === null && key !== null && isKnown(key)) return repeated;
          throw error;
        });
    const { request, ...rest } = resolved;
    const operation = { id, kind, planVersion, instance, request, requestedBy: caller.by, requestId };
    const record = answer(await store.accept({ operation, key, fingerprint, ...rest }), kind);
    if (kind === 'destroy') overtake(record);
    return operationView(store.getOperation(record.id) ?? record);
  }

  async function onBios(action: 'capture_bios' | 'restore_bios', caller: Caller, work: () => Promise<unknown>) {
    await work();
    await store.audit({ by: caller.by, action, instance: null, operation: null });
    await monitor.refresh();
    return await parts.bios.report();
  }

  return {
    submit,
    async waitForEnd(id, signal) {
      const record = operationOf(id);
      if (!isEnded(record.state) && record.state !== 'stuck') await engine.settled(record.id, signal);
      return operationView(operationOf(id));
    },
    nodeStatus: monitor.status,
    health() {
      return { ready: monitor.status().ready, checks: [...monitor.health()] };
    },
    identity() {
      const known = store.identity();
      if (!known) throw new DpuError('bad_state', 'the node does not know yet who it is');
      const baseline = parts.bios.kept();
      return {
        version: 1,
        uuid: known.uuid,
        hostname: known.hostname,
        host_nqn: parts.initiator.hostNqn,
        initiator_iqn: parts.initiator.initiatorIqn,
        bios_baseline: baseline && { settings: { ...baseline.settings }, at: baseline.at },
        exported_at: timestamp(parts.clock),
      };
    },
    bios: () => parts.bios.report(),
    captureBios: (caller) => onBios('capture_bios', caller, () => parts.bios.capture()),
    restoreBios: (caller) => onBios('restore_bios', caller, () => parts.bios.putBack()),
    power() {
      const owner = driver.nodeType === 'BM' ? store.liveInstances().find((each) => each.claimed) : undefined;
      const instance = owner?.id ?? null;
      const running = store.unendedOperations().find((each) => each.instance === instance);
      return { state: monitor.power(), instance, operation: running?.id ?? null, owner: driver.powerOwner() };
    },
    listInstances({ state, limit, cursor }) {
      const page = store.listInstances(state ?? null, { limit: limit ?? defaultLimit, cursor: cursor ?? null });
      return { instances: [...page.instances], ...(page.next === null ? {} : { next: page.next }) };
    },
    getInstance(uuid) {
      const view = store.instanceView(asId<InstanceId>(uuid));
      if (!view) throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
      return view;
    },
    listOperations({ instance, state, limit, cursor }) {
      const page = store.listOperations(
        {
          ...(instance === undefined ? {} : { instance: asId<InstanceId>(instance) }),
          ...(state === undefined ? {} : { state }),
        },
        { limit: limit ?? defaultLimit, cursor: cursor ?? null },
      );
      return { operations: page.operations.map(operationView), ...(page.next === null ? {} : { next: page.next }) };
    },
    getOperation: (id) => operationView(operationOf(id)),
    async cancelOperation(id, caller) {
      const record = operationOf(id);
      if (!engine.mayCancel(record.id)) {
        throw new DpuError('bad_state', 'the operation has ended, or is past the point where it could be undone');
      }
      engine.cancel(record.id);
      await store.write([{ type: 'cancel-requested', operation: record.id }]);
      await store.audit({ by: caller.by, action: 'cancel_operation', instance: record.instance, operation: record.id });
      return operationView(operationOf(id));
    },
    async retryOperation(id, caller) {
      const record = operationOf(id);
      if (record.state !== 'stuck') throw new DpuError('bad_state', 'the operation is not stuck');
      await store.audit({ by: caller.by, action: 'retry_operation', instance: record.instance, operation: record.id });
      await engine.retry(record.id);
      return operationView(operationOf(id));
    },
    async getConsole({ uuid, type }) {
      const instance = asId<InstanceId>(uuid);
      const record = store.getInstance(instance);
      if (!record) throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
      if (type !== 'serial' || !parts.consoles) {
        throw new DpuError('unsupported', `this ${driver.nodeType} node has no ${type} console`, { field: 'type' });
      }
      if (!record.claimed) throw new DpuError('bad_state', 'the instance has no console now');
      const { token, expiresAtMs } = parts.consoles.tokens.issue(instance);
      const url = parts.consoles.url(token);
      return { type, url, token, expires_at: new Date(expiresAtMs).toISOString() };
    },
    async consoleLog(uuid, bytes) {
      const instance = asId<InstanceId>(uuid);
      if (!store.getInstance(instance)) throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
      if (!parts.consoles) throw new DpuError('unsupported', `this ${driver.nodeType} node has no serial console`);
      return await parts.consoles.history(instance, bytes);
    },
    diagnostics: (uuid) =>
      within(parts.clock, patienceMs.ask, (signal) => diagnosticsOf({ store, driver }, uuid, signal)),
    listFunctions() {
      const ours = store.functions().map(
        (each): FunctionView => ({
          id: each.id,
          instance: each.instance,
          type: each.type,
          class: each.class,
          mac: each.mac,
          bdf: each.bdf,
          bdf_state: each.bdfState,
          representor: each.representor,
          plugged: each.phase === 'plugged',
          phase: each.phase,
          owner: 'ours',
        }),
      );
      const foreign = parts.foreignFunctions().map(
        (each): FunctionView => ({
          id: each.id,
          instance: null,
          type: each.type,
          class: each.class,
          mac: each.mac,
          bdf: each.bdf,
          bdf_state: each.bdfState,
          representor: each.representor,
          plugged: each.plugged,
          phase: each.plugged ? 'plugged' : 'made',
          owner: 'foreign',
        }),
      );
      return [...ours, ...foreign];
    },
    listBindings() {
      const functions = new Map(store.functions().map((each) => [each.id, each]));
      return store.bindings().map((each) => ({
        function_id: each.functionId,
        instance: each.instance,
        kind: each.kind,
        port_id: each.kind === 'port' ? each.key : null,
        volume_id: each.kind === 'volume' ? each.key : null,
        representor: functions.get(each.functionId)?.representor ?? null,
        bdev: each.bdev,
        mac: functions.get(each.functionId)?.mac ?? null,
        phase: each.phase,
      }));
    },
    listAudit: (limit) =>
      store.listAudit(limit).map(({ atMs, ...rest }) => ({ at: new Date(atMs).toISOString(), ...rest })),
    maintenance() {
      const reason = store.setting('maintenance');
      return { enabled: reason !== null, reason: reason === '' ? null : reason };
    },
    membership: () => parts.membership().view(),
    async setMembership({ member, reason, force }, caller) {
      const { join, leave, view } = parts.membership();
      await (member ? join() : leave(reason ?? null, force ?? false));
      await store.audit({
        by: caller.by,
        action: member ? 'node_join' : 'node_leave',
        instance: null,
        operation: null,
      });
      return view();
    },
    async setMaintenance(enabled, reason, caller) {
      await store.setSetting('maintenance', enabled ? (reason ?? '') : null);
      await store.audit({
        by: caller.by,
        action: enabled ? 'maintenance_on' : 'maintenance_off',
        instance: null,
        operation: null,
      });
      monitor.reason('maintenance', enabled ? (reason ?? 'maintenance') : null);
      monitor.publish();
    },
    subscribe: events.subscribe,
  };
}

/** What makes a repeat the same request. */
function keyOf(kind: string, named: InstanceId | null, requestId: string | null): string | null {
  if (named !== null && (kind === 'build' || kind === 'destroy')) return `${kind}:${named}`;
  return requestId === null ? null : `request:${requestId}`;
}
