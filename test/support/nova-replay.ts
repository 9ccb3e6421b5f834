import { Readable } from 'node:stream';
import { RemoteError } from 'oslo-messaging';
import type { Json, JsonObject } from '../../core/units.ts';
import type { HttpAnswer, HttpClient, HttpRequest } from '../../platform-adapter/openstack/rest/http.ts';
import type { KeystoneSettings } from '../../platform-adapter/openstack/rest/keystone.ts';
import { refusalError } from '../../platform-adapter/openstack/rest/rest-errors.ts';
import type { TopicClients } from '../../platform-adapter/openstack/wire/conductor.ts';
import { callName, type Said } from './nova-form.ts';
import type { RecordedEvent, Recording } from './nova-recording.ts';

type Call = Extract<RecordedEvent, { kind: 'call' | 'cast' }>;
type Http = Extract<RecordedEvent, { kind: 'http' }>;

/** The recorded control plane. */
export interface NovaReplay {
  /** For createNovaRpc: answered from the recording. */
  readonly clients: TopicClients;
  /** For createKeystone, with the settings below: answered from the recording, in the process. */
  readonly http: HttpClient;
  readonly keystone: KeystoneSettings;
  /** What we said, in order: messages and HTTP requests. */
  readonly said: readonly Said[];
  /** What the recording had no answer to. A test expects it to be empty. */
  readonly unanswered: readonly string[];
  /** Answers the next calls of this name (`Instance.save`) with a failure instead: class of nova.exception and kwargs. */
  failNext(name: string, rpcClass: string, kwargs?: JsonObject): void;
  /**
   * Answers this, whatever the recording has: for what our side asks beyond a stock one, or of what it said before. A call is named
   * as above, an HTTP request by service, method and path, with or without the query (`placement GET /traits`).
   */
  answer(name: string, result: unknown): void;
  /** As `answer`, by what was asked. */
  answerEach(name: string, result: (message: Extract<Said, { kind: 'message' }>) => unknown): void;
  /** Refuses the next HTTP request of this name (`placement PUT /traits/X`) with a status and a body. */
  failHttp(name: string, status: number, body: Json): void;
}

/**
 * Plays the control plane of a recording. A call gets the answer to the first recorded one that is alike (same method, object and
 * arguments) and was not used yet; asked more often than recorded, the last such answer again. Arguments that differ are let
 * pass where a call of the name is there: the comparison of nova-form.ts tells of them.
 */
export function replayNova(recording: Recording): NovaReplay {
  const said: Said[] = [];
  const unanswered: string[] = [];
  const failures = new Map<string, RemoteError[]>();
  const refusals = new Map<string, { readonly status: number; readonly body: Json }[]>();
  const extra = new Map<string, (message?: Extract<Said, { kind: 'message' }>) => unknown>();
  const used = new Set<RecordedEvent>();
  const calls = recording.events.filter((each): each is Call => each.kind === 'call' || each.kind === 'cast');
  const https = recording.events.filter((each): each is Http => each.kind === 'http');

  function take<Event extends RecordedEvent>(alike: readonly Event[]): Event | undefined {
    const next = alike.find((each) => !used.has(each)) ?? alike.at(-1);
    if (next !== undefined) used.add(next);
    return next;
  }

  function replyTo(message: Extract<Said, { kind: 'message' }>): unknown {
    const name = callName(message);
    const failure = failures.get(name)?.shift();
    if (failure !== undefined) throw failure;
    const own = extra.get(name);
    if (own !== undefined) return own(message);
    const named = calls.filter((each) => each.kind === 'call' && callName(each.request) === name);
    const exact = named.filter((each) => argumentsOf(each.request.args) === argumentsOf(message.args));
    const found = take(exact.length > 0 ? exact : named);
    if (found?.reply) {
      if (found.reply.failure !== null) throw remoteError(found.reply.failure);
      return found.reply.result;
    }
    unanswered.push(name);
    throw new Error(`the recording ${recording.name} has no answer to ${name}`);
  }

  const clients: TopicClients = (topic, defaultVersion) => ({
    async call(method, args, options = {}) {
      return replyTo(note(topic, defaultVersion, method, args as JsonObject, options));
    },
    async cast(method, args, options = {}) {
      note(topic, defaultVersion, method, args as JsonObject, options);
    },
    async close() {},
  });

  function note(
    topic: string,
    defaultVersion: string,
    method: string,
    args: JsonObject,
    options: {
      readonly server?: string;
      readonly version?: string;
      readonly namespace?: string;
      readonly fanout?: boolean;
      readonly context?: Readonly<Record<string, unknown>>;
    },
  ): Extract<Said, { kind: 'message' }> {
    const { server, fanout, namespace, version, context } = options;
    const to = fanout === true ? `${topic}_fanout/` : `nova/${topic}${server === undefined ? '' : `.${server}`}`;
    const message = {
      kind: 'message',
      to,
      method,
      version: version ?? defaultVersion,
      namespace: namespace ?? null,
      // as it would be on the wire
      args: JSON.parse(JSON.stringify(args)) as JsonObject,
      context: JSON.parse(JSON.stringify(context ?? {})) as JsonObject,
    } as const;
    said.push(message);
    return message;
  }

  function serve(request: HttpRequest): HttpAnswer {
    const { service, method } = request;
    const rest = `${request.url.pathname}${request.url.search}`;
    said.push({ kind: 'http', service, method, path: rest, request: request.json ?? null });
    const asked = `${service} ${method} ${pathOf(rest)}`;
    const refusal = refusals.get(asked)?.shift();
    if (refusal !== undefined) throw refusalError({ service, doing: request.doing, ...refusal, secrets: [] });
    const own = extra.get(`${service} ${method} ${rest}`) ?? extra.get(asked);
    if (own !== undefined) return { status: 200, headers: {}, json: own() as Json };
    const same = https.filter((each) => each.service === service && each.method === method);
    const exact = same.filter((each) => sortedQuery(each.path) === sortedQuery(rest));
    const found = take(exact.length > 0 ? exact : same.filter((each) => pathOf(each.path) === pathOf(rest)));
    if (found === undefined) {
      unanswered.push(`${service} ${method} ${rest}`);
      throw new Error(`the recording ${recording.name} has no answer to ${service} ${method} ${rest}`);
    }
    const { status, response } = found;
    if (status >= 300) throw refusalError({ service, doing: request.doing, status, body: response, secrets: [] });
    const headers = Object.entries(found.headers).map(([name, value]) => [name.toLowerCase(), value]);
    return {
      status,
      headers: Object.fromEntries(headers),
      json: service === 'keystone' ? withoutCatalogue(response) : response,
    };
  }

  return {
    clients,
    http: {
      send: async (request) => serve(request),
      open: async (request) => {
        const { status, headers, json } = serve(request);
        return { status, headers, body: Readable.from([Buffer.from(typeof json === 'string' ? json : '')]) };
      },
      close() {},
    },
    keystone: keystoneOf(https),
    said,
    unanswered,
    failNext(name, rpcClass, kwargs = {}) {
      const error = new RemoteError(rpcClass, 'nova.exception', rpcClass, kwargs);
      failures.set(name, [...(failures.get(name) ?? []), error]);
    },
    answer: (name, result) => void extra.set(name, () => result),
    answerEach: (name, result) => void extra.set(name, (message) => (message === undefined ? null : result(message))),
    failHttp: (name, status, body) => void refusals.set(name, [...(refusals.get(name) ?? []), { status, body }]),
  };
}

/** Settings that lead each service's client to the recording. Cinder's addresses hold a project, which is the recorded one. */
function keystoneOf(https: readonly Http[]): KeystoneSettings {
  const cinder = https.find(({ service, path }) => service === 'cinder' && /^\/v3\/\w+\//.test(path));
  const project = cinder?.path.split('/')[2] ?? 'project';
  return {
    authUrl: 'http://keystone.test/v3',
    region: null,
    interfaces: ['internal'],
    credentials: {
      kind: 'password',
      username: 'nova',
      password: 'throwaway',
      userDomain: 'Default',
      project: 'service',
      projectDomain: 'Default',
    },
    endpoints: {
      placement: 'http://placement.test/',
      network: 'http://neutron.test/',
      volumev3: `http://cinder.test/v3/${project}`,
      image: 'http://glance.test/',
    },
  };
}

/** The recorded catalogue is shortened; the settings have the addresses. */
function withoutCatalogue(response: Json): Json {
  const { token } = response as { readonly token?: JsonObject };
  return token === undefined ? response : { token: { ...token, catalog: [] } };
}

function remoteError(failure: string): RemoteError {
  const read = JSON.parse(failure) as { class: string; module: string; message: string; kwargs: JsonObject };
  return new RemoteError(read.class, read.module, read.message, read.kwargs);
}

function argumentsOf({ args, kwargs }: JsonObject): string {
  return JSON.stringify([args, kwargs]);
}

const pathOf = (path: string): string => path.split('?')[0] ?? '';

/** A path whose parameters, and the values of Placement's `in:`, are in the order of the alphabet. */
function sortedQuery(path: string): string {
  const [before = '', query = ''] = path.split('?');
  const sort = (value: string): string =>
    value.startsWith('in:') ? `in:${value.slice(3).split(',').sort().join(',')}` : value;
  const parts = [...new URLSearchParams(query)].map(([name, value]) => `${name}=${sort(value)}`).sort();
  return `${before}?${parts.join('&')}`;
}
