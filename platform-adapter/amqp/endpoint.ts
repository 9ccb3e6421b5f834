import { type CallContext, type Endpoint, type Handler, RpcFailure } from 'oslo-messaging';
import { amqpErrorModule, DpuError, errorTable, toDpuError } from '../../core/errors.ts';
import type { Args, ComputeService, MutatingMethod } from '../../core/ports/compute-service.ts';
import { validate } from '../../kit/validate.ts';
import type { RpcMethods } from '../../schemas/generated/rpc.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import { normaliseArguments } from './aliases.ts';

/** Version of the platform RPC. */
export const rpcVersion = '1.0';

const caller = { by: 'amqp' } as const;

/** Methods that only answer. */
type ReadingMethod = Exclude<keyof RpcMethods, MutatingMethod>;

type Readers = { readonly [Method in ReadingMethod]: (args: Args<Method>) => unknown };

/** The failure that a caller gets: class and module of the error table; what is not ours tells nothing of itself. */
export function rpcFailure(thrown: unknown): RpcFailure {
  const error = toDpuError(thrown, 'the request failed for a reason that is in the log of the node');
  return new RpcFailure(
    {
      rpcClass: errorTable[error.code].amqpClass,
      rpcModule: amqpErrorModule,
      message: error.message,
      rpcKwargs: {
        code: error.code,
        ...(error.field === undefined ? {} : { field: error.field }),
        ...(error.details === undefined ? {} : { details: error.details }),
      },
    },
    { cause: thrown },
  );
}

/**
 * A message that the broker delivers again, since the daemon was killed before it acknowledged, is the same request: where
 * the caller names none, the message's own id does.
 */
function withRequestId(args: Args<MutatingMethod>, uniqueId: string | null): Args<MutatingMethod> {
  if (args.request_id !== undefined || uniqueId === null || !/^[\w-]{1,100}$/.test(uniqueId)) return args;
  return { ...args, request_id: `amqp:${uniqueId}` };
}

/** The platform RPC on top of the use cases: every method of `schemas/rpc.json`. */
export function platformEndpoint(service: ComputeService): Endpoint {
  const readers: Readers = {
    report_node_status: () => service.nodeStatus(),
    get_instance: ({ uuid }) => service.getInstance(uuid),
    list_instances: (args) => service.listInstances(args),
    get_operation: ({ id }) => service.getOperation(id),
    list_operations: (args) => service.listOperations(args),
    cancel_operation: ({ id }) => service.cancelOperation(id, caller),
    retry_operation: ({ id }) => service.retryOperation(id, caller),
    get_instance_console: (args) => service.getConsole(args),
  };

  async function end(operation: string, signal: AbortSignal): Promise<unknown> {
    try {
      return await service.waitForEnd(operation, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new DpuError('unavailable', 'the daemon stops; the operation goes on at its next start', {
        details: { operation },
        cause: error,
      });
    }
  }

  /** Journaled first, acknowledged then; an end is waited for only where the caller asks for it. */
  async function change(method: MutatingMethod, args: Args<MutatingMethod>, context: CallContext): Promise<unknown> {
    const operation = await service.submit(method, withRequestId(args, context.uniqueId), caller);
    context.ack();
    const wait = 'wait' in args && args.wait === true && context.kind === 'call';
    return { operation: wait ? await end(operation.id, context.signal) : operation };
  }

  const isReader = (method: string): method is ReadingMethod => Object.hasOwn(readers, method);

  function handler(method: keyof RpcMethods): Handler {
    return async (args, context) => {
      try {
        const checked = validate<Args<typeof method>>(
          `rpc.json#/properties/${method}/properties/args`,
          normaliseArguments(method, args),
          method,
        );
        if (isReader(method)) {
          const read = readers[method] as (args: unknown) => unknown;
          return await read(checked);
        }
        return await change(method, checked as Args<MutatingMethod>, context);
      } catch (error) {
        throw rpcFailure(error);
      }
    };
  }

  const methods = Object.keys(rpcSchema.properties) as (keyof RpcMethods)[];
  return { version: rpcVersion, methods: Object.fromEntries(methods.map((name) => [name, handler(name)])) };
}
