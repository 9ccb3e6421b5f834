import { createRpcClient, type QueueFlags, type RpcClient, type Transport } from 'oslo-messaging';
import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { type RequestContext, type UserCredentials, wireContext } from './context.ts';
import { fromMessaging } from './nova-errors.ts';
import { isPrimitive, type Primitive } from './objects.ts';
import { isNewer, manifest, type Release } from './releases.ts';

/** For whom a call is made, and until when. */
export interface CallScope {
  readonly context: RequestContext;
  /** Only for what is passed on to services that act as the user. */
  readonly credentials?: UserCredentials | null;
  readonly signal?: AbortSignal;
  /** For one call, in ms; default nova's 60 s. */
  readonly timeoutMs?: number;
}

/** What an object's method did. */
export interface ActionAnswer {
  /** Fields that the method changed: their primitives. */
  readonly updates: JsonObject;
  readonly result: Json;
}

/**
 * nova-conductor, asked under one scope (conductor RPC 3.0). The typed calls are functions on it, in the file of their object:
 * instances.ts, block-devices.ts, virtual-interfaces.ts, migrations.ts, service-records.ts, console-tokens.ts, instance-actions.ts,
 * compute-task.ts. All reject with DpuError: `unavailable` and `timeout` (conductor or broker away: may be tried again), and
 * what nova-errors.ts makes of nova's exceptions.
 */
export interface Conductor {
  readonly release: Release;
  /** Runs a method of the object that is given (`Instance.save`); a sparse object is enough. */
  objectAction(object: Primitive, method: string, args?: readonly Json[], kwargs?: JsonObject): Promise<ActionAnswer>;
  /** Runs a method of a class (`InstanceList.get_by_host`) and answers its object, or what else it answers. */
  classAction(name: string, method: string, args?: readonly Json[], kwargs?: JsonObject): Promise<Json>;
  /** The object as our release knows it, where it is of a later one (object_backport_versions); else itself. */
  readable(object: Primitive): Promise<Primitive>;
  /** Whether a conductor answers, within `timeoutMs`. */
  ping(timeoutMs?: number): Promise<void>;
  /** A method of the namespace `compute_task`: a cast. */
  computeTask(method: string, version: string, args: JsonObject): Promise<void>;
  /** The same conductor under another scope. */
  under(scope: Partial<CallScope>): Conductor;
}

/** What goes out to one topic. */
export type TopicClient = Pick<RpcClient, 'call' | 'cast' | 'close'>;

/** Makes the client of a topic, with the version that it asks for unless a call says otherwise. */
export type TopicClients = (topic: string, version: string) => TopicClient;

/** Clients on one connection to the broker. `exchange` is nova's control_exchange. */
export function topicClients(transport: Transport, flags: QueueFlags, exchange = 'nova'): TopicClients {
  return (topic, version) => createRpcClient({ ...flags, transport, exchange, topic, version });
}

/** Clients of nova's services on one connection. */
export interface NovaRpc {
  readonly release: Release;
  conductor(scope: CallScope): Conductor;
  /** To all schedulers (scheduler RPC 4.x). */
  schedulerFanout(scope: CallScope, method: string, version: string, args: JsonObject): Promise<void>;
  /** To the compute service of another host: a cast. */
  computeCast(scope: CallScope, host: string, method: string, args: JsonObject): Promise<void>;
  /** As computeCast, and waits for the answer; `monitorSec` asks the server for heartbeats (nova's long calls). */
  computeCall(
    scope: CallScope,
    host: string,
    method: string,
    args: JsonObject,
    options?: { readonly monitorSec?: number; readonly timeoutMs?: number },
  ): Promise<Json>;
  /** Ends waiting calls. May be called twice. */
  close(): Promise<void>;
}

const callTimeoutMs = 60_000;

/** Makes the clients. Nothing is sent before the first call. */
export function createNovaRpc(release: Release, clients: TopicClients): NovaRpc {
  const toConductor = clients('conductor', release.rpc.conductor);
  const toScheduler = clients('scheduler', release.rpc.scheduler);
  const toCompute = clients('compute', release.rpc.computeSends);

  return {
    release,
    conductor: (scope) => conductorOn(toConductor, release, scope),
    schedulerFanout: (scope, method, version, args) =>
      asNova(`tell the schedulers ${method}`, () =>
        toScheduler.cast(method, args, { ...sendOptions(scope), fanout: true, version }),
      ),
    computeCast: (scope, host, method, args) =>
      asNova(`cast ${method} to a compute service`, () =>
        toCompute.cast(method, args, { ...sendOptions(scope), server: host }),
      ),
    computeCall: async (scope, host, method, args, options = {}) =>
      asNova(`call ${method} of a compute service`, async () => {
        const { monitorSec } = options;
        const result = await toCompute.call(method, args, {
          ...sendOptions(scope),
          server: host,
          timeoutMs: options.timeoutMs ?? scope.timeoutMs ?? callTimeoutMs,
          ...(monitorSec === undefined ? {} : { callMonitorTimeoutSec: monitorSec }),
        });
        return (result ?? null) as Json;
      }),
    async close() {
      await Promise.all([toConductor.close(), toScheduler.close(), toCompute.close()]);
    },
  };
}

function conductorOn(client: TopicClient, release: Release, scope: CallScope): Conductor {
  const call = (doing: string, method: string, args: JsonObject): Promise<unknown> =>
    asNova(doing, () =>
      client.call(method, args, { ...sendOptions(scope), timeoutMs: scope.timeoutMs ?? callTimeoutMs }),
    );

  return {
    release,
    async objectAction(object, method, args = [], kwargs = {}) {
      const doing = `${object['nova_object.name']}.${method}`;
      const answer = await call(doing, 'object_action', {
        objinst: object as unknown as Json,
        objmethod: method,
        args,
        kwargs,
      });
      if (!Array.isArray(answer) || answer.length !== 2) throw unreadable(doing);
      const [updates, result] = answer as [unknown, Json];
      if (typeof updates !== 'object' || updates === null || Array.isArray(updates)) throw unreadable(doing);
      return { updates: updates as JsonObject, result };
    },
    async classAction(name, method, args = [], kwargs = {}) {
      const answer = await call(`${name}.${method}`, 'object_class_action_versions', {
        objname: name,
        objmethod: method,
        object_versions: manifest(release, name),
        args,
        kwargs,
      });
      return (answer ?? null) as Json;
    },
    async readable(object) {
      const name = object['nova_object.name'];
      const ours = release.objects[name];
      if (ours === undefined || !isNewer(object['nova_object.version'], ours)) return object;
      const answer = await call(`${name}: backport`, 'object_backport_versions', {
        objinst: object as unknown as Json,
        object_versions: manifest(release, name),
      });
      if (!isPrimitive(answer)) throw unreadable(`${name}: backport`);
      return answer;
    },
    async ping(timeoutMs = 10_000) {
      const arg = '1.21 GigaWatts'; // what nova's own services say
      await asNova('ping nova-conductor', () =>
        client.call('ping', { arg }, { ...sendOptions(scope), namespace: 'baseapi', version: '1.0', timeoutMs }),
      );
    },
    computeTask: (method, version, args) =>
      asNova(`ask nova-conductor to ${method}`, () =>
        client.cast(method, args, { ...sendOptions(scope), namespace: 'compute_task', version }),
      ),
    under: (other) => conductorOn(client, release, { ...scope, ...other }),
  };
}

function sendOptions(scope: CallScope): { readonly context: JsonObject; readonly signal?: AbortSignal } {
  const context = wireContext(scope.context, scope.credentials ?? null);
  return { context, ...(scope.signal === undefined ? {} : { signal: scope.signal }) };
}

async function asNova<Answer>(doing: string, send: () => Promise<Answer>): Promise<Answer> {
  try {
    return await send();
  } catch (error) {
    throw fromMessaging(error, doing);
  }
}

function unreadable(doing: string): DpuError {
  return new DpuError('internal', `the answer of nova-conductor to ${doing} cannot be read`);
}
