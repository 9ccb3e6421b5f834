import { randomUUID } from 'node:crypto';
import { DpuError } from '../../core/errors.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionId, Json } from '../../core/units.ts';
import { JsonRpcError, rpcCodes } from '../../kit/json-rpc/protocol.ts';
import type { RpcCall, RpcConnection } from '../../kit/json-rpc/server.ts';
import { validate } from '../../kit/validate.ts';
import type {
  CreatePf,
  CreateStorageDev,
  CreateVf,
  FunctionAnswer,
  SetFunction,
  SnicRpc,
  UnplugFunction,
} from '../../schemas/generated/snic-rpc.ts';
import type { SnicService } from '../service/service.ts';

/** Names of the methods (contract: the schema's own). */
export type Method = Exclude<keyof SnicRpc, 'function' | 'functions' | 'card'>;

/** Carries out one request. @throws DpuError; JsonRpcError for a method that is not there. */
export type Dispatch = (call: RpcCall) => Promise<Json>;

type Handler = (params: never, call: RpcCall) => Promise<unknown>;
type Create = CreatePf & CreateVf & CreateStorageDev;

const kinds = {
  pf: (each: FunctionAnswer) => each.type === 'PF',
  vf: (each: FunctionAnswer) => each.type === 'VF',
  storage_dev: (each: FunctionAnswer) => each.class !== 'virtio-net',
} as const;
type Kind = keyof typeof kinds;

/** The methods on a service; each request's params are checked by `schemas/snic-rpc.json`, unknown ones refused. */
export function createDispatch(service: SnicService): Dispatch {
  const watching = new WeakSet<RpcConnection>();
  const create = ({ id, mac, parent, mark, plug = true, ...rest }: Create, { signal }: RpcCall) =>
    service.create(
      {
        ...(rest as Pick<Required<Create>, 'type' | 'class' | 'features'>),
        id: (id ?? `fn-${randomUUID()}`) as FunctionId,
        mac: mac ?? null,
        parent: (parent ?? null) as FunctionId | null,
        mark: (mark ?? null) as OwnershipMark | null,
      },
      plug,
      signal,
    );
  const get =
    (kind: Kind) =>
    async ({ id }: { id: string }, { signal }: RpcCall) => {
      const found = await service.get(id as FunctionId, signal);
      if (!kinds[kind](found)) throw new DpuError('not_found', `function ${id} is there, and is of another kind`);
      return found;
    };
  const remove =
    (kind: Kind) =>
    async ({ id }: { id: string }, { signal }: RpcCall) => {
      const found = (await service.list(signal)).find((each) => each.id === id);
      if (found && !kinds[kind](found)) {
        throw new DpuError('conflict', `function ${id} is of another kind`, { field: 'id' });
      }
      await service.remove(id as FunctionId, signal);
      return {};
    };
  const handlers: Readonly<Record<Method, Handler>> = {
    create_pf: create,
    create_vf: create,
    create_storage_dev: create,
    get_pf: get('pf'),
    get_vf: get('vf'),
    get_storage_dev: get('storage_dev'),
    delete_pf: remove('pf'),
    delete_vf: remove('vf'),
    delete_storage_dev: remove('storage_dev'),
    plug_function: ({ id }: { id: string }, { signal }: RpcCall) => service.plug(id as FunctionId, signal),
    unplug_function: async ({ id, deadline_ms, force }: Required<UnplugFunction>, { signal }: RpcCall) => {
      await service.unplug(id as FunctionId, { deadlineMs: deadline_ms, force }, signal);
      return {};
    },
    list_functions: async (_params, { signal }: RpcCall) => ({ functions: await service.list(signal) }),
    describe: (_params, { signal }: RpcCall) => service.describe(signal),
    set_function: ({ id, ...change }: SetFunction, { signal }: RpcCall) =>
      service.set(id as FunctionId, change, signal),
    watch: async (_params, { signal, connection }: RpcCall) => {
      if (watching.has(connection)) return { functions: await service.list(signal) };
      watching.add(connection);
      const { functions, stop } = await service.watch(({ changed, gone }) => {
        for (const each of changed) connection.notify('function_changed', each as unknown as Json);
        for (const id of gone) connection.notify('function_gone', { id });
      }, signal);
      connection.onClose(stop);
      return { functions };
    },
  };
  return async (call) => {
    if (!Object.hasOwn(handlers, call.method)) {
      throw new JsonRpcError(rpcCodes.methodNotFound, `there is no method ${call.method.slice(0, 64)}`);
    }
    const method = call.method as Method;
    const params = validate<never>(`snic-rpc.json#/properties/${method}`, call.params, method);
    return (await handlers[method](params, call)) as Json;
  };
}
