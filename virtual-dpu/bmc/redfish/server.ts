/** The Redfish service: DSP0266 over TLS. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { HostControl } from '../host-control.ts';
import { PERSONAS, type Persona } from '../personas.ts';
import { type FaultEffect, type FaultRule, fits } from '../rules.ts';
import type { StateStore } from '../state.ts';
import { applyPatch, type ChangeContext, powerEvent, runAction } from './changes.ts';
import { isNode, type Node } from './json.ts';
import { errorBody, Refusal } from './messages.ts';
import { type HostFacts, pathsOf, type Snapshot, V1 } from './model.ts';
import type { Sessions } from './sessions.ts';
import { resourceTree } from './tree.ts';

/** What the service serves. */
export interface RedfishOptions {
  readonly port: number;
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly host: HostControl;
  readonly store: StateStore;
  readonly sessions: Sessions;
  readonly facts: HostFacts;
  readonly ipmiPort: number;
}

/** A service that listens. */
export interface RedfishService {
  readonly port: number;
  /** Tells the event streams that the power is another. */
  powerChanged(power: string): void;
  /** Rules that were set anew begin anew. */
  rulesChanged(): void;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 65_536;

/** Starts it on 127.0.0.1. */
export async function startRedfish(options: RedfishOptions): Promise<RedfishService> {
  const { host, store, sessions } = options;
  const streams = new Set<ServerResponse>();
  const used = new Map<string, number>();
  let events = 0;
  const server = createServer(
    { key: readFileSync(options.keyFile), cert: readFileSync(options.certificateFile), minVersion: 'TLSv1.2' },
    (request, response) => {
      serve(request, response).catch((error: unknown) => {
        const refusal = error instanceof Refusal ? error : new Refusal('InternalError');
        if (!(error instanceof Refusal)) process.stderr.write(`redfish: ${String((error as Error).stack)}\n`);
        if (response.headersSent) response.destroy();
        else refuse(response, refusal);
      });
    },
  );
  const persona = (): Persona => PERSONAS[store.get().rules.persona];

  async function snapshot(): Promise<Snapshot> {
    const [power, devices] = await Promise.all([host.power(), host.devices()]);
    const { facts, ipmiPort } = options;
    return { facts, persona: persona(), state: store.get(), power, devices, sessions: sessions.list(), ipmiPort };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://bmc');
    const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
    const method = request.method ?? 'GET';
    const effect = nextFault(method, path);
    if (effect?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, effect.ms));
    else if (effect !== undefined && breakIt(effect, request, response)) return;
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && serveOpen(response, path)) return;
    if (method === 'POST' && [pathsOf(persona()).sessions, `${pathsOf(persona()).sessions}/Members`].includes(path)) {
      return logIn(response, await readBody(request));
    }
    if (path !== V1 || !isRead) authorise(request, path);
    if ([...url.searchParams.keys()].some((key) => key.startsWith('$'))) throw new Refusal('QueryNotSupported');
    await route(request, response, method, path);
  }

  /** What the standard has open to everybody (DSP0266 "Resources that don't require authentication"), but for the root itself. */
  function serveOpen(response: ServerResponse, path: string): boolean {
    if (path === '/redfish') send(response, 200, { v1: `${V1}/` });
    else if (path === `${V1}/odata`) {
      const value = ['Systems', 'Chassis', 'Managers'].map((name) => ({
        name,
        kind: 'Singleton',
        url: `${V1}/${name}`,
      }));
      send(response, 200, { '@odata.context': `${V1}/$metadata`, value });
    } else return false;
    return true;
  }

  function authorise(request: IncomingMessage, path: string): void {
    if (store.get().rules.login === 'refused') throw new Refusal('ResourceAtUriUnauthorized', [path]);
    if (!sessions.mayAsk(request)) throw new Refusal('NoValidSession');
  }

  function logIn(response: ServerResponse, body: Node): void {
    const refused = store.get().rules.login === 'refused';
    if (refused || !sessions.isRight(body.UserName, body.Password)) {
      throw new Refusal('ResourceAtUriUnauthorized', [pathsOf(persona()).sessions]);
    }
    const opened = sessions.open();
    const { id, username } = opened.session;
    const location = `${pathsOf(persona()).sessions}/${id}`;
    const session = { '@odata.id': location, '@odata.type': '#Session.v1_7_0.Session', Id: id, Name: id };
    send(response, 201, { ...session, UserName: username }, { Location: location, 'X-Auth-Token': opened.token });
  }

  async function route(
    request: IncomingMessage,
    response: ServerResponse,
    method: string,
    path: string,
  ): Promise<void> {
    const paths = pathsOf(persona());
    if (method === 'GET' && path === paths.events) return openStream(response);
    const at = await snapshot();
    const { missing } = at.state.rules;
    const tree = resourceTree(at);
    const resource = missing.some((pattern) => fits(pattern, path)) ? undefined : tree.get(path);
    const context: ChangeContext = { host, store, paths, snapshot: at };
    const writable = path === paths.system || path === paths.biosSettings;
    if (method === 'POST') {
      const isAction = path === paths.reset || path === paths.resetBios;
      if (!isAction) throw new Refusal(resource ? 'OperationNotAllowed' : 'ResourceMissingAtURI', [path]);
      await runAction(path, await readBody(request), context);
      return finish(request, response, 204);
    }
    if (resource === undefined) throw new Refusal('ResourceMissingAtURI', [path]);
    if (method === 'GET' || method === 'HEAD') {
      const etag = etagOf(resource);
      if (etag !== undefined && request.headers['if-none-match'] === etag)
        return send(response, 304, undefined, { ETag: etag });
      return send(response, 200, resource, etag === undefined ? {} : { ETag: etag });
    }
    if (method === 'PATCH' && writable) {
      checkMatch(request, etagOf(resource));
      await applyPatch(path, await readBody(request), context);
      return finish(request, response, 204);
    }
    const session = path.startsWith(`${paths.sessions}/`) ? path.slice(paths.sessions.length + 1) : undefined;
    if (method === 'DELETE' && session !== undefined) {
      if (!sessions.end(session)) throw new Refusal('ResourceMissingAtURI', [path]);
      return finish(request, response, 204);
    }
    response.setHeader('Allow', `GET, HEAD${writable ? ', PATCH' : ''}${session === undefined ? '' : ', DELETE'}`);
    throw new Refusal('OperationNotAllowed');
  }

  function etagOf(resource: Node): string | undefined {
    const { etags } = persona();
    if (etags === 'none') return undefined;
    const { DateTime: _clock, ...rest } = resource;
    const hash = createHash('sha256').update(JSON.stringify(rest)).digest('hex').slice(0, 16);
    return etags === 'weak' ? `W/"${hash}"` : `"${hash}"`;
  }

  function checkMatch(request: IncomingMessage, etag: string | undefined): void {
    const wanted = request.headers['if-match'];
    if (wanted === undefined) {
      if (persona().needIfMatch) throw new Refusal('PreconditionRequired');
    } else if (wanted !== '*' && !wanted.split(/\s*,\s*/).includes(etag ?? '')) throw new Refusal('PreconditionFailed');
  }

  function openStream(response: ServerResponse): void {
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache',
      'OData-Version': '4.0',
    });
    response.write(': stream begins\n\n');
    streams.add(response);
    response.on('close', () => streams.delete(response));
  }

  function nextFault(method: string, path: string): FaultEffect | undefined {
    const rule = store.get().rules.faults.find((one) => {
      const left = (one.times ?? Number.POSITIVE_INFINITY) - (used.get(keyOf(one)) ?? 0);
      return left > 0 && (one.method ?? method) === method && fits(one.path, path);
    });
    if (rule === undefined) return undefined;
    used.set(keyOf(rule), (used.get(keyOf(rule)) ?? 0) + 1);
    return rule.does;
  }

  /** Whether the request is over with that. */
  function breakIt(effect: FaultEffect, request: IncomingMessage, response: ServerResponse): boolean {
    if (effect.kind === 'answer') {
      response.writeHead(effect.status, effect.headers);
      response.end(effect.body);
    } else if (effect.kind === 'garbage') request.socket.end('\0\0SSH-2.0-not-http\r\n\r\n');
    else if (effect.kind === 'cut') {
      response.writeHead(200, { 'Content-Length': '1000', 'Content-Type': 'application/json' });
      response.write('{"PowerState": "O', () => request.socket.destroy());
    } else if (effect.kind === 'reset') {
      if (effect.after !== true) request.socket.destroy();
      else {
        cutAfter.add(request);
        return false;
      }
    }
    return true;
  }
  const cutAfter = new WeakSet<IncomingMessage>();

  function finish(request: IncomingMessage, response: ServerResponse, status: number): void {
    if (cutAfter.has(request)) request.socket.destroy();
    else send(response, status);
  }

  server.keepAliveTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    powerChanged(power) {
      const event = JSON.stringify(powerEvent(pathsOf(persona()).system, ++events, power));
      for (const stream of streams) stream.write(`id: ${events}\ndata: ${event}\n\n`);
    },
    rulesChanged: () => used.clear(),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Rules that say the same are one rule, so one that is set again is used up no sooner. */
function keyOf(rule: FaultRule): string {
  return JSON.stringify(rule);
}

async function readBody(request: IncomingMessage): Promise<Node> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Refusal('RequestBodyTooLarge');
    chunks.push(chunk);
  }
  if (size === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (isNode(value)) return value;
  } catch {
    // Told as what it is below.
  }
  throw new Refusal('MalformedJSON');
}

function send(
  response: ServerResponse,
  status: number,
  body?: Node,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, {
    'OData-Version': '4.0',
    'Cache-Control': 'no-cache',
    ...(body === undefined ? {} : { 'Content-Type': 'application/json; charset=utf-8' }),
    ...(status === 204 || status === 304 ? {} : { 'Content-Length': String(Buffer.byteLength(text)) }),
    ...headers,
  });
  response.end(text);
}

function refuse(response: ServerResponse, refusal: Refusal): void {
  send(response, refusal.status, errorBody(refusal), {
    ...(refusal.status === 401 ? { 'WWW-Authenticate': 'Basic realm="BMC"' } : {}),
    ...(refusal.status === 503 ? { 'Retry-After': '1' } : {}),
  });
}
