import { DpuError } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { Args, MutatingMethod } from '../../core/ports/compute-service.ts';
import { validate } from '../../kit/validate.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import { HttpError } from './http-error.ts';
import type { BodySpec, Reply, RequestContext, Untrusted } from './route.ts';

const endedStates: readonly Operation['state'][] = ['succeeded', 'failed', 'cancelled'];

/** Names of the parameters in a path: `/v1/instances/{uuid}` has `uuid`. */
export function pathNames(path: string): readonly string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
}

/** The body of a route that drives an RPC method: the method's arguments less what the path and the headers carry. */
export function bodyOf(rpc: keyof typeof rpcSchema.properties, path: string): BodySpec | undefined {
  const args: { properties: object; required?: readonly string[] } = rpcSchema.properties[rpc].properties.args;
  const without = [...pathNames(path), 'request_id', 'wait'].filter((name) => name in args.properties);
  const left = Object.keys(args.properties).filter((name) => !without.includes(name));
  if (left.length === 0) return undefined;
  const required = (args.required ?? []).some((name) => left.includes(name));
  return { schema: `rpc.json#/properties/${rpc}/properties/args`, without, required };
}

/** Refuses the properties of a body that the path or a header carries. @throws DpuError `invalid`. */
export function checkBody(body: Untrusted, spec: BodySpec): void {
  const field = spec.without.find((name) => Object.hasOwn(body, name));
  if (field !== undefined) throw new DpuError('invalid', `body: ${field} is not known`, { field });
}

/**
 * Hands a change to the service and answers its operation: 202 with its place, 200 where it has ended already.
 * @throws what the service throws; `invalid` where the arguments break their schema.
 */
export async function submit(rpc: MutatingMethod, context: RequestContext, params = context.params): Promise<Reply> {
  const requestId = context.header('idempotency-key');
  const args = {
    ...context.body,
    ...params,
    ...(requestId === undefined ? {} : { request_id: checkKey(requestId) }),
  };
  const checked = validate<Args<MutatingMethod>>(`rpc.json#/properties/${rpc}/properties/args`, args, rpc);
  normalise(checked);
  checkMatch(context);
  return await operationReply(await context.service.submit(rpc, checked, context.caller), context);
}

/** The reply for an operation, after waiting for its end as long as the client asked. */
export async function operationReply(operation: Operation, context: RequestContext): Promise<Reply> {
  const now = context.waitMs === 0 ? operation : await waited(operation, context);
  return {
    status: endedStates.includes(now.state) ? 200 : 202,
    headers: {
      location: `/v1/operations/${now.id}`,
      ...(context.waitMs === 0 ? {} : { 'preference-applied': `wait=${Math.ceil(context.waitMs / 1000)}` }),
    },
    body: now,
  };
}

/** The entity tag of an instance. */
export function etagOf(generation: number): string {
  return `"${generation}"`;
}

/** Whether a list of entity tags (RFC 9110 13.1) names the tag. */
export function namesTag(list: string, tag: string): boolean {
  return list.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === tag);
}

async function waited(operation: Operation, context: RequestContext): Promise<Operation> {
  const signal = context.waitSignal();
  try {
    return await context.service.waitForEnd(operation.id, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return context.service.getOperation(operation.id); // the wait is over, the operation is not: the client may look again
  }
}

function checkKey(key: string): string {
  try {
    return validate<string>('common.json#/$defs/request_id', key, 'Idempotency-Key');
  } catch (cause) {
    throw new DpuError('invalid', 'Idempotency-Key is not 1 to 128 visible characters', {
      field: 'Idempotency-Key',
      cause,
    });
  }
}

function checkMatch(context: RequestContext): void {
  const wanted = context.header('if-match');
  const uuid = context.params.uuid;
  if (wanted === undefined || uuid === undefined) return;
  const { generation } = context.service.getInstance(uuid);
  if (!namesTag(wanted, etagOf(generation))) {
    throw new HttpError(412, 'conflict', `the instance is at generation ${generation}`, { field: 'If-Match' });
  }
}

/** MACs in any spelling become lower case with colons. */
function normalise(args: Args<MutatingMethod>): void {
  if ('networks' in args) {
    for (const [index, network] of (args.networks ?? []).entries()) {
      if (network.mac !== undefined) network.mac = parseMac(network.mac, `networks[${index}].mac`);
    }
  }
  if ('network' in args && args.network.mac !== undefined) args.network.mac = parseMac(args.network.mac, 'network.mac');
}
