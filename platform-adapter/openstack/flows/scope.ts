import type { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { FlowRecord } from '../store.ts';
import { elevated, type RequestContext, type UserCredentials } from '../wire/context.ts';
import type { Flow, FlowParts } from './flow.ts';

/** What is kept of a request: the context without the token, and what `read` made of the arguments. */
export interface StoredRequest {
  readonly context: RequestContext;
  readonly args: JsonObject;
}

/** Tokens of the users whose flows run, by flow: in memory and nowhere else. */
export type Credentials = Map<string, UserCredentials>;

/** A flow's record as its plan sees it; `note` is told the error that takes it back. */
export function openFlow(
  parts: FlowParts,
  credentials: Pick<Credentials, 'get'>,
  record: FlowRecord,
  { event, facts }: { readonly event: string | null; readonly facts: JsonObject },
  note: (error: DpuError) => void = () => {},
): Flow {
  const { context, args } = record.request as unknown as StoredRequest;
  const user = (): UserCredentials | null => credentials.get(record.id) ?? null;
  const scope = (signal: AbortSignal | undefined, as: RequestContext) => ({
    context: as,
    credentials: user(),
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    id: record.id,
    method: record.kind,
    event,
    instance: record.instance,
    request: args,
    facts,
    context,
    parts,
    settings: parts.settings,
    note,
    scope: (signal) => scope(signal, context),
    conductor: (signal) => parts.nova.conductor(scope(signal, context)),
    adminConductor: (signal, deleted) => parts.nova.conductor(scope(signal, elevated(context, deleted))),
    hasUser: () => user() !== null && context.project_id !== null,
    services() {
      const credential = user();
      return credential === null || context.project_id === null
        ? parts.services
        : parts.asUser(credential, context.project_id);
    },
  };
}
