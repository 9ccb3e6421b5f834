import { DpuError, type ErrorCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';

/** Status -> our code. Any other 4xx is `invalid`, 5xx `unavailable`, 3xx `unsupported` (we follow no redirects). */
const statusErrors: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid',
  401: 'denied',
  403: 'denied',
  404: 'not_found',
  405: 'unsupported',
  406: 'unsupported',
  408: 'timeout',
  409: 'conflict',
  410: 'not_found',
  413: 'exhausted',
  429: 'unavailable',
  501: 'unsupported',
};

/** What a service calls the error, where that says more than the status: Neutron's exception, Placement's error code. */
const typeErrors: Readonly<Record<string, ErrorCode>> = {
  OverQuota: 'exhausted',
  IpAddressGenerationFailure: 'exhausted',
  IpAddressGenerationFailureNoMatchingSubnet: 'exhausted',
  NoMoreIPs: 'exhausted',
  ExternalIpAddressExhausted: 'exhausted',
  MacAddressGenerationFailure: 'exhausted',
};

/** Placement's code of a 409 that says that somebody else wrote meanwhile (API reference, "Errors", since 1.23). */
const concurrentUpdate = 'placement.concurrent_update';

/** Longest text of a service that is kept. */
const maxText = 500;

/** A refusal as the service put it. */
export interface Refusal {
  readonly service: string;
  readonly doing: string;
  readonly status: number;
  /** The body's JSON; undefined where it is none. */
  readonly body: Json | undefined;
  /** Texts that may be in the body and must not be in the error. */
  readonly secrets: readonly string[];
}

/**
 * The error of an answer that is not 2xx: `details` are `{service, status, type}`. What the service said ends its message, as in nova's faults: a user is told
 * of a quota by nothing else.
 */
export function refusalError({ service, doing, status, body, secrets }: Refusal): DpuError {
  const { type, text } = explanation(body);
  const code = (type === undefined ? undefined : typeErrors[type]) ?? statusErrors[status] ?? otherStatus(status);
  const said = text === undefined ? '' : `: ${withoutSecrets(text, secrets)}`;
  return new DpuError(code, `${service}: can't ${doing} (${status})${said}`, {
    details: { service, status, ...(type === undefined ? {} : { type }) },
  });
}

function otherStatus(status: number): ErrorCode {
  if (status >= 500) return 'unavailable';
  return status >= 400 ? 'invalid' : 'unsupported';
}

/** Text without secrets, cut to what an error holds. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  const clean = secrets
    .filter((each) => each.length > 0)
    .reduce((rest, each) => rest.replaceAll(each, '[redacted]'), text);
  return clean.length > maxText ? `${clean.slice(0, maxText)}…` : clean;
}

/**
 * What a service says of its refusal, in each one's form: `{NeutronError: {type, message}}`, `{errors: [{code, detail}]}` (Placement),
 * `{itemNotFound: {code, message}}` (Cinder), `{error: {title, message}}` (Keystone).
 */
function explanation(body: Json | undefined): { readonly type?: string; readonly text?: string } {
  if (!isObject(body)) return {};
  const [first] = Array.isArray(body.errors) ? (body.errors as readonly Json[]) : [];
  const [name, only] = Object.entries(body)[0] ?? [];
  const said = isObject(first) ? first : isObject(only) ? only : body;
  const type =
    textIn(said, 'type') ?? textIn(said, 'code') ?? textIn(said, 'title') ?? (said === only ? name : undefined);
  const text = textIn(said, 'message') ?? textIn(said, 'detail');
  return {
    // a name, and nothing that a body could smuggle in
    ...(type !== undefined && /^[\w.-]{1,80}$/.test(type) ? { type } : {}),
    ...(text === undefined ? {} : { text }),
  };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textIn(data: JsonObject, name: string): string | undefined {
  const value = data[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The service's own name for the error that it answered with; undefined where the error is no answer. */
export function refusalType(error: unknown): string | undefined {
  const type = error instanceof DpuError ? error.details?.type : undefined;
  return typeof type === 'string' ? type : undefined;
}

/** Whether Placement refused a write because the provider or consumer changed since it was read. */
export function isGenerationConflict(error: unknown): error is DpuError {
  return refusalType(error) === concurrentUpdate;
}

/**
 * Does a read-and-write of Placement again when somebody else wrote in between; `work` must read anew each time. Nova tries thrice too.
 * @throws what `work` throws, the generation conflict of the last try included.
 */
export async function retryOnGenerationConflict<Result>(work: () => Promise<Result>, most = 4): Promise<Result> {
  for (let again = 1; ; again += 1) {
    try {
      return await work();
    } catch (error) {
      if (again >= most || !isGenerationConflict(error)) throw error;
    }
  }
}

/** Runs a call of which `code` is as good as done; answers whether it did something. */
export async function unless(code: ErrorCode, call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof DpuError && error.code === code) return false;
    throw error;
  }
}

/** Runs a call whose refusal with one code means another here. The error keeps its details and cause. */
export async function recoded<Result>(from: ErrorCode, to: ErrorCode, call: Promise<Result>): Promise<Result> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof DpuError) || error.code !== from) throw error;
    throw new DpuError(to, error.message, {
      ...(error.details === undefined ? {} : { details: error.details }),
      ...(error.cause === undefined ? {} : { cause: error.cause }),
    });
  }
}
