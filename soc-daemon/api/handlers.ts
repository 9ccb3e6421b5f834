import { DpuError } from '../../core/errors.ts';
import type { Args } from '../../core/ports/compute-service.ts';
import { validate } from '../../kit/validate.ts';
import type { DashboardRequest, MaintenanceRequest, MembershipRequest } from '../../schemas/generated/rest.ts';
import { etagOf, namesTag, operationReply, submit } from './mutation.ts';
import type { Reply, RequestContext } from './route.ts';

const AUDIT_LIMIT = 100;

/** Checks the arguments of an RPC method that only reads. */
function args<Method extends 'list_instances' | 'list_operations' | 'get_instance' | 'get_operation'>(
  method: Method,
  value: unknown,
): Args<Method> {
  return validate<Args<Method>>(`rpc.json#/properties/${method}/properties/args`, value, method);
}

function instanceOf({ service, params }: RequestContext) {
  return service.getInstance(args('get_instance', { uuid: params.uuid }).uuid);
}

function operationId({ params }: RequestContext): string {
  return args('get_operation', { id: params.id }).id;
}

const ok = (body: unknown): Reply => ({ status: 200, body });

/** All that is kept of a console. */
const consoleLogBytes = 1_048_576;

/** `GET /v1/node`. */
export const getNode = ({ service }: RequestContext): Reply => ok(service.nodeStatus());

/** `GET /v1/health`. */
export const getHealthReport = ({ service }: RequestContext): Reply => ok(service.health());

/** `GET /v1/identity`. */
export const getIdentity = ({ service }: RequestContext): Reply => ok(service.identity());

/** `GET /v1/bios`. */
export const getBios = async ({ service }: RequestContext): Promise<Reply> => ok(await service.bios());

/** `POST /v1/bios/capture`. */
export const captureBios = async ({ service, caller }: RequestContext): Promise<Reply> =>
  ok(await service.captureBios(caller));

/** `POST /v1/bios/restore`. */
export const restoreBios = async ({ service, caller }: RequestContext): Promise<Reply> =>
  ok(await service.restoreBios(caller));

/** `GET /v1/power`. */
export const getPower = ({ service }: RequestContext): Reply => ok(service.power());

/** `GET /v1/instances`. */
export const listInstances = ({ service, query }: RequestContext): Reply =>
  ok(service.listInstances(args('list_instances', query)));

/** `GET /v1/instances/{uuid}`; 304 where the client has this generation. */
export function getInstance(context: RequestContext): Reply {
  const instance = instanceOf(context);
  const etag = etagOf(instance.generation);
  const known = context.header('if-none-match');
  if (known !== undefined && namesTag(known, etag)) return { status: 304, headers: { etag } };
  return { status: 200, headers: { etag }, body: instance };
}

/** `GET /v1/instances/{uuid}/interfaces`. */
export const listInterfaces = (context: RequestContext): Reply => ok({ interfaces: instanceOf(context).interfaces });

/** `GET /v1/instances/{uuid}/volumes`. */
export const listVolumes = (context: RequestContext): Reply => ok({ volumes: instanceOf(context).volumes });

/** `PUT /v1/instances/{uuid}/interfaces/{port_id}/qos`: the port must be the instance's. */
export async function setQos(context: RequestContext): Promise<Reply> {
  const port = context.params.port_id ?? '';
  if (!instanceOf(context).interfaces.some((each) => each.port_id === port)) {
    throw new DpuError('not_found', 'the instance has no such port', { field: 'port_id' });
  }
  return await submit('set_interface_qos', context, { port_id: port });
}

/** `POST /v1/instances/{uuid}/console`. */
export async function openConsole({ service, params, body }: RequestContext): Promise<Reply> {
  const reference = 'rpc.json#/properties/get_instance_console/properties/args';
  const checked = validate<Args<'get_instance_console'>>(reference, { ...body, ...params }, 'get_instance_console');
  return ok(await service.getConsole(checked));
}

/** `GET /v1/instances/{uuid}/console/log`. */
export async function getConsoleLog({ service, params, query }: RequestContext): Promise<Reply> {
  const bytes = typeof query.bytes === 'number' ? query.bytes : consoleLogBytes;
  const log = await service.consoleLog(params.uuid ?? '', Math.min(bytes, consoleLogBytes));
  return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, text: log.toString('utf8') };
}

/** `GET /v1/instances/{uuid}/diagnostics`. */
export const getDiagnostics = async (context: RequestContext): Promise<Reply> =>
  ok(await context.service.diagnostics(instanceOf(context).uuid));

/** `GET /v1/operations`. */
export const listOperations = ({ service, query }: RequestContext): Reply =>
  ok(service.listOperations(args('list_operations', query)));

/** `GET /v1/operations/{id}`. */
export const getOperation = (context: RequestContext): Reply => ok(context.service.getOperation(operationId(context)));

/** `POST /v1/operations/{id}/cancel`. */
export const cancelOperation = async (context: RequestContext): Promise<Reply> =>
  await operationReply(await context.service.cancelOperation(operationId(context), context.caller), context);

/** `POST /v1/operations/{id}/retry`. */
export const retryOperation = async (context: RequestContext): Promise<Reply> =>
  await operationReply(await context.service.retryOperation(operationId(context), context.caller), context);

/** `GET /v1/functions`. */
export const listFunctions = ({ service }: RequestContext): Reply => ok({ functions: service.listFunctions() });

/** `GET /v1/bindings`. */
export const listBindings = ({ service }: RequestContext): Reply => ok({ bindings: service.listBindings() });

/** `GET /v1/audit`. */
export function listAudit({ service, query }: RequestContext): Reply {
  const { limit } = args('list_operations', 'limit' in query ? { limit: query.limit } : {});
  return ok({ audit: service.listAudit(limit ?? AUDIT_LIMIT) });
}

/** `GET /v1/platform/requests`. */
export function listPlatformRequests({ platformRequests, query }: RequestContext): Reply {
  const { limit } = args('list_operations', 'limit' in query ? { limit: query.limit } : {});
  return ok({ requests: platformRequests(limit ?? AUDIT_LIMIT) });
}

/** `POST /v1/platform/requests/{id}/retry`. */
export async function retryPlatformRequest({
  platformRequests,
  retryPlatformRequest: retry,
  params,
  caller,
}: RequestContext): Promise<Reply> {
  const { id } = params;
  await retry(id ?? '', caller);
  return ok({ requests: platformRequests(AUDIT_LIMIT).filter((each) => each.id === id) });
}

/** `GET /v1/maintenance`. */
export const getMaintenance = ({ service }: RequestContext): Reply => ok(service.maintenance());

/** `PUT /v1/maintenance`. */
export async function setMaintenance({ service, body, caller }: RequestContext): Promise<Reply> {
  const wanted = validate<MaintenanceRequest>('rest.json#/properties/maintenance_request', { ...body }, 'maintenance');
  await service.setMaintenance(wanted.enabled, wanted.reason ?? null, caller);
  return ok(service.maintenance());
}

/** `GET /v1/membership`. */
export const getMembership = ({ service }: RequestContext): Reply => ok(service.membership());

/** `PUT /v1/membership`. */
export async function setMembership({ service, body, caller }: RequestContext): Promise<Reply> {
  const wanted = validate<MembershipRequest>('rest.json#/properties/membership_request', { ...body }, 'membership');
  return ok(await service.setMembership(wanted, caller));
}

/** `GET /healthz`: the process answers. */
export const getHealth = (): Reply => ok({ status: 'ok' });

/** `GET /readyz`: 503 with the reasons while instances may not be scheduled here. */
export function getReadiness({ readiness }: RequestContext): Reply {
  const body = readiness();
  return { status: body.ready ? 200 : 503, body };
}

/** `POST /v1/dashboard`. */
export function openDashboard({ openDashboard: open, body }: RequestContext): Reply {
  const { read_only: readOnly } = validate<DashboardRequest>(
    'rest.json#/properties/dashboard_request',
    body,
    'dashboard',
  );
  return ok(open(readOnly === true ? 'reader' : 'admin'));
}

/** `GET /metrics`. */
export const getMetrics = async ({ metrics }: RequestContext): Promise<Reply> => ({
  status: 200,
  headers: { 'content-type': metrics.contentType },
  text: await metrics.render(),
});

/** `GET /openapi.json`. */
export const getOpenApi = ({ openapi }: RequestContext): Reply => ok(openapi());
