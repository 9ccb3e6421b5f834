/** The one table of the REST interface: express routes, OpenAPI operations and allowed methods are made from it. */
import type { MutatingMethod } from '../../core/ports/compute-service.ts';
import rpcSchema from '../../schemas/rpc.json' with { type: 'json' };
import * as handlers from './handlers.ts';
import { bodyOf, submit } from './mutation.ts';
import type { BodySpec, Method, Parameter, ReplySpec, Route } from './route.ts';

const limit: Parameter = {
  name: 'limit',
  in: 'query',
  type: 'integer',
  schema: 'common.json#/$defs/limit',
  description: 'At most as many.',
};
const cursor: Parameter = {
  name: 'cursor',
  in: 'query',
  type: 'string',
  schema: 'common.json#/$defs/cursor',
  description: '`next` of the page before.',
};
const stateOf = (schema: string): Parameter => ({
  name: 'state',
  in: 'query',
  type: 'string',
  schema,
  description: 'Only in this state.',
});
const instance: Parameter = {
  name: 'instance',
  in: 'query',
  type: 'string',
  schema: 'common.json#/$defs/uuid',
  description: 'Only of this instance.',
};
const wait: readonly Parameter[] = [
  {
    name: 'wait',
    in: 'query',
    type: 'boolean',
    description: 'Wait for the end of the operation, as long as the node lets a request last.',
  },
  { name: 'Prefer', in: 'header', type: 'string', description: '`wait=N`: wait at most N seconds (RFC 7240).' },
];
const key: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  type: 'string',
  schema: 'common.json#/$defs/request_id',
  description: 'The `request_id`: the same request again is answered with the first one’s operation.',
};
const ifMatch: Parameter = {
  name: 'If-Match',
  in: 'header',
  type: 'string',
  description: 'Only while the instance has this entity tag; otherwise 412.',
};
const ifNoneMatch: Parameter = {
  name: 'If-None-Match',
  in: 'header',
  type: 'string',
  description: '304 while the instance has this entity tag.',
};
const lastEventId: Parameter = {
  name: 'Last-Event-ID',
  in: 'header',
  type: 'string',
  description: 'Go on after this event.',
};

const accepted: Readonly<Record<number, ReplySpec>> = {
  200: { description: 'The operation, which has ended.', schema: 'operation.json', headers: ['Location'] },
  202: { description: 'The operation, accepted and journaled.', schema: 'operation.json', headers: ['Location'] },
};

interface ReadSpec {
  readonly tag: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
}

function read(path: string, id: string, schema: string, handle: Route['handle'], spec: ReadSpec): Route {
  return {
    method: 'get',
    path,
    id,
    ...spec,
    parameters: spec.parameters ?? [],
    produces: 'application/json',
    replies: { 200: { description: spec.summary, schema } },
    handle,
  };
}

/** A route that drives an RPC method: its arguments are the method's. */
function change(method: Method, path: string, rpc: MutatingMethod, handle?: Route['handle']): Route {
  const body = bodyOf(rpc, path);
  const match = path.includes('{uuid}') ? [ifMatch] : [];
  return {
    method,
    path,
    id: rpc,
    tag: 'instances',
    summary: rpcSchema.properties[rpc].description,
    parameters: [...wait, key, ...match],
    ...(body === undefined ? {} : { body }),
    produces: 'application/json',
    replies: accepted,
    handle: handle ?? ((context) => submit(rpc, context)),
  };
}

function steer(action: string, summary: string, handle: Route['handle']): Route {
  return {
    method: 'post',
    path: `/v1/operations/{id}/${action}`,
    id: `${action}_operation`,
    tag: 'operations',
    summary,
    parameters: wait,
    produces: 'application/json',
    replies: accepted,
    handle,
  };
}

const one = '/v1/instances/{uuid}';
const answerOf = (rpc: keyof typeof rpcSchema.properties): string => `rpc.json#/properties/${rpc}/properties/answer`;
const rest = (name: string): string => `rest.json#/properties/${name}`;
const consoleBody: BodySpec = {
  schema: 'rpc.json#/properties/get_instance_console/properties/args',
  without: ['uuid'],
  required: true,
};

/** Every route there is. */
export const routes: readonly Route[] = [
  read('/v1/node', 'get_node', 'node-status.json', handlers.getNode, {
    tag: 'node',
    summary: 'The node as it is now.',
  }),
  read('/v1/health', 'get_health_report', rest('health_report'), handlers.getHealthReport, {
    tag: 'node',
    summary: 'What the node looked at, what it found, and what to do.',
  }),
  read('/v1/power', 'get_power', rest('power'), handlers.getPower, {
    tag: 'node',
    summary: "The host's power: how it is, whose it is, and who works on it now.",
  }),
  read('/v1/identity', 'get_identity', rest('identity'), handlers.getIdentity, {
    tag: 'node',
    summary: 'Who the node is, to be kept for a SoC that is reflashed.',
  }),
  read('/v1/bios', 'get_bios', rest('bios'), handlers.getBios, {
    tag: 'node',
    summary: "The host's BIOS settings against the baseline.",
  }),
  {
    ...read('/v1/bios/capture', 'capture_bios', rest('bios'), handlers.captureBios, {
      tag: 'node',
      summary: 'Makes the BIOS settings of now the baseline.',
    }),
    method: 'post',
  },
  {
    ...read('/v1/bios/restore', 'restore_bios', rest('bios'), handlers.restoreBios, {
      tag: 'node',
      summary: "Sets BIOS settings back to the baseline, from the host's next start on.",
    }),
    method: 'post',
  },
  read('/v1/instances', 'list_instances', answerOf('list_instances'), handlers.listInstances, {
    tag: 'instances',
    summary: 'The instances, by pages.',
    parameters: [stateOf('common.json#/$defs/instance_state'), limit, cursor],
  }),
  change('post', '/v1/instances', 'build_and_run_instance'),
  {
    ...read(one, 'get_instance', 'instance.json', handlers.getInstance, {
      tag: 'instances',
      summary: 'One instance.',
      parameters: [ifNoneMatch],
    }),
    replies: {
      200: { description: 'The instance.', schema: 'instance.json', headers: ['ETag'] },
      304: { description: 'The client has this generation.', headers: ['ETag'] },
    },
  },
  change('delete', one, 'destroy_instance'),
  change('post', `${one}/actions/start`, 'start_instance'),
  change('post', `${one}/actions/stop`, 'stop_instance'),
  change('post', `${one}/actions/reboot`, 'reboot_instance'),
  change('post', `${one}/actions/pause`, 'pause_vm'),
  change('post', `${one}/actions/unpause`, 'unpause_vm'),
  change('post', `${one}/actions/suspend`, 'suspend_instance'),
  change('post', `${one}/actions/resume`, 'resume_instance'),
  change('post', `${one}/actions/resize`, 'resize_vm'),
  change('post', `${one}/actions/rebuild`, 'rebuild_instance'),
  change('post', `${one}/actions/rescue`, 'rescue_instance'),
  change('post', `${one}/actions/unrescue`, 'unrescue_instance'),
  change('post', `${one}/actions/reset-password`, 'reset_instance_admin_password'),
  change('post', `${one}/actions/prepare-migration`, 'prepare_migration'),
  change('post', `${one}/actions/finish-migration`, 'finish_migration'),
  change('post', `${one}/actions/abort-migration`, 'abort_migration'),
  read(`${one}/interfaces`, 'list_interfaces', rest('interface_list'), handlers.listInterfaces, {
    tag: 'instances',
    summary: 'The NICs of an instance.',
  }),
  change('post', `${one}/interfaces`, 'attach_interface'),
  change('delete', `${one}/interfaces/{port_id}`, 'detach_interface'),
  change('put', `${one}/interfaces/{port_id}/qos`, 'set_interface_qos', handlers.setQos),
  read(`${one}/volumes`, 'list_volumes', rest('volume_list'), handlers.listVolumes, {
    tag: 'instances',
    summary: 'The disks of an instance.',
  }),
  change('post', `${one}/volumes`, 'attach_volume'),
  change('delete', `${one}/volumes/{volume_id}`, 'detach_volume'),
  change('post', `${one}/snapshots`, 'create_snapshot'),
  change('post', `${one}/volumes/{volume_id}/resize`, 'resize_volume'),
  {
    ...read(`${one}/console`, 'get_instance_console', answerOf('get_instance_console'), handlers.openConsole, {
      tag: 'instances',
      summary: rpcSchema.properties.get_instance_console.description,
    }),
    method: 'post',
    body: consoleBody,
  },
  {
    ...read(`${one}/console/log`, 'get_console_log', '', handlers.getConsoleLog, {
      tag: 'instances',
      summary: 'The last of what the serial console showed, at most a megabyte.',
      parameters: [{ name: 'bytes', in: 'query', type: 'integer', description: 'How much of its end.' }],
    }),
    produces: 'text/plain',
    replies: { 200: { description: 'What it showed, as it came.' } },
  },
  read(`${one}/diagnostics`, 'get_diagnostics', rest('diagnostics'), handlers.getDiagnostics, {
    tag: 'instances',
    summary: 'What its machine used since it was started.',
  }),
  read('/v1/operations', 'list_operations', answerOf('list_operations'), handlers.listOperations, {
    tag: 'operations',
    summary: 'The operations, by pages.',
    parameters: [instance, stateOf('common.json#/$defs/operation_state'), limit, cursor],
  }),
  read('/v1/operations/{id}', 'get_operation', 'operation.json', handlers.getOperation, {
    tag: 'operations',
    summary: 'One operation with its steps.',
  }),
  steer('cancel', 'Undoes an operation that is not past its pivot.', handlers.cancelOperation),
  steer('retry', 'Goes on with a stuck operation.', handlers.retryOperation),
  read('/v1/functions', 'list_functions', rest('function_list'), handlers.listFunctions, {
    tag: 'node',
    summary: 'The PCIe functions of the card.',
  }),
  read('/v1/bindings', 'list_bindings', rest('binding_list'), handlers.listBindings, {
    tag: 'node',
    summary: 'What each function is bound to.',
  }),
  {
    ...read('/v1/events', 'watch_events', rest('event'), 'events', {
      tag: 'node',
      summary: 'Server-sent events: operations, instances and the node as they change.',
      parameters: [lastEventId],
    }),
    produces: 'text/event-stream',
  },
  read('/v1/maintenance', 'get_maintenance', rest('maintenance'), handlers.getMaintenance, {
    tag: 'node',
    summary: 'Whether new instances are refused.',
  }),
  {
    ...read('/v1/maintenance', 'set_maintenance', rest('maintenance'), handlers.setMaintenance, {
      tag: 'node',
      summary: 'Refuses new instances, or accepts them again.',
    }),
    method: 'put',
    body: { schema: rest('maintenance_request'), without: [], required: true },
  },
  read('/v1/membership', 'get_membership', rest('membership'), handlers.getMembership, {
    tag: 'node',
    summary: 'Whether the node belongs to its platform.',
  }),
  {
    ...read('/v1/membership', 'set_membership', rest('membership'), handlers.setMembership, {
      tag: 'node',
      summary: 'Leaves the platform after a last report, or joins it again.',
    }),
    method: 'put',
    body: { schema: rest('membership_request'), without: [], required: true },
  },
  read('/v1/audit', 'list_audit', rest('audit_list'), handlers.listAudit, {
    tag: 'node',
    summary: 'Who changed what, newest first.',
    parameters: [limit],
  }),
  read(
    '/v1/platform/requests',
    'list_platform_requests',
    rest('platform_request_list'),
    handlers.listPlatformRequests,
    {
      tag: 'node',
      summary: 'What the platform asked for, newest first; empty where the platform asks by operations.',
      parameters: [limit],
    },
  ),
  {
    ...read(
      '/v1/platform/requests/{id}/retry',
      'retry_platform_request',
      rest('platform_request_list'),
      handlers.retryPlatformRequest,
      { tag: 'node', summary: 'Goes on with a request of the platform that is stuck; answers it as it is then.' },
    ),
    method: 'post',
  },
  read('/healthz', 'get_health', rest('health'), handlers.getHealth, {
    tag: 'probes',
    summary: 'The process answers.',
  }),
  {
    ...read('/readyz', 'get_readiness', rest('readiness'), handlers.getReadiness, { tag: 'probes', summary: 'Ready.' }),
    replies: {
      200: { description: 'Instances may be scheduled here.', schema: rest('readiness') },
      503: { description: 'They may not, and why.', schema: rest('readiness') },
    },
  },
  {
    ...read('/v1/dashboard', 'open_dashboard', rest('dashboard_access'), handlers.openDashboard, {
      tag: 'node',
      summary: 'An address that lets one browser in, once, within a minute.',
    }),
    method: 'post',
    body: { schema: rest('dashboard_request'), without: [], required: false },
  },
  {
    ...read('/metrics', 'get_metrics', '', handlers.getMetrics, { tag: 'probes', summary: 'For Prometheus.' }),
    produces: 'text/plain',
    replies: { 200: { description: 'Prometheus text format.' } },
  },
  read('/openapi.json', 'get_openapi', rest('openapi'), handlers.getOpenApi, {
    tag: 'probes',
    summary: 'This document.',
  }),
];
