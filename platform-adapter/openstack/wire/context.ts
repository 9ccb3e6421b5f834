import type { Clock } from '../../../core/ports/clock.ts';
import type { Random } from '../../../core/ports/random.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import { flag, listOf, nullable, orElse, type Read, text } from './objects.ts';

const fields = {
  user_id: nullable(text),
  project_id: nullable(text),
  system_scope: nullable(text),
  domain: nullable(text),
  user_domain: nullable(text),
  project_domain: nullable(text),
  is_admin: orElse(flag, false),
  read_only: orElse(flag, false),
  show_deleted: orElse(flag, false),
  request_id: text,
  global_request_id: nullable(text),
  resource_uuid: nullable(text),
  roles: orElse(listOf(text), []),
  is_admin_project: orElse(flag, true),
  read_deleted: orElse(text, 'no'),
  remote_address: nullable(text),
  timestamp: nullable(text),
  quota_class: nullable(text),
  user_name: nullable(text),
  project_name: nullable(text),
};

/**
 * Who asks, under which request id: nova's RequestContext without what may not be stored. It is plain JSON and may go into
 * the journal. Instance actions are found by `request_id`, so what an API request began is told with its own context.
 */
export type RequestContext = Read<typeof fields>;

/** The end user's token and what came with it. Lives in the process that received it, and nowhere else. */
export interface UserCredentials {
  readonly token: string;
  /** The user's service catalogue, for those whom the context is passed on to. */
  readonly serviceCatalog: Json;
}

/** A request's context, its credentials apart from the rest. */
export interface ReceivedContext {
  readonly context: RequestContext;
  /** Null: the request came without a token. */
  readonly credentials: UserCredentials | null;
}

/** Reads the `_context_` fields of a request, their names without the prefix. @throws `invalid` that names the field. */
export function readContext(raw: Readonly<Record<string, unknown>>): ReceivedContext {
  const context = Object.fromEntries(
    Object.entries(fields).map(([name, read]) => [name, read(raw[name], `context.${name}`)]),
  ) as RequestContext;
  const token = nullable(text)(raw.auth_token, 'context.auth_token');
  const serviceCatalog = Array.isArray(raw.service_catalog) ? (raw.service_catalog as Json) : [];
  return { context, credentials: token === null ? null : { token, serviceCatalog } };
}

/** A context of our own, with a new request id: for what nobody asked for (heartbeat, periodic tasks, recovery). */
export function adminContext(
  parts: { readonly clock: Clock; readonly random: Random },
  readDeleted: 'no' | 'yes' = 'no',
): RequestContext {
  return {
    user_id: null,
    project_id: null,
    system_scope: null,
    domain: null,
    user_domain: null,
    project_domain: null,
    is_admin: true,
    read_only: false,
    show_deleted: false,
    request_id: `req-${parts.random.uuid()}`,
    global_request_id: null,
    resource_uuid: null,
    roles: [],
    is_admin_project: true,
    read_deleted: readDeleted,
    remote_address: null,
    timestamp: contextTime(parts.clock.wallMs()),
    quota_class: null,
    user_name: null,
    project_name: null,
  };
}

/** The same request with admin rights, as nova's `context.elevated()`. */
export function elevated(context: RequestContext, readDeleted: 'no' | 'yes' = 'no'): RequestContext {
  const roles = context.roles.includes('admin') ? context.roles : [...context.roles, 'admin'];
  return { ...context, is_admin: true, roles, read_deleted: readDeleted };
}

/** The context as it is sent, with the names that stock services read too (`user`, `project`, `user_identity`). */
export function wireContext(context: RequestContext, credentials: UserCredentials | null = null): JsonObject {
  const { user_id, project_id, domain, user_domain, project_domain } = context;
  return {
    ...context,
    user: user_id,
    project: project_id,
    user_identity: [user_id, project_id, domain, user_domain, project_domain].map((part) => part ?? '-').join(' '),
    auth_token: credentials?.token ?? null,
    service_catalog: credentials?.serviceCatalog ?? [],
  };
}

/** A context's time: UTC with microseconds and no zone, as oslo.context writes it. */
function contextTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000');
}
