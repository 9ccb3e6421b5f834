import { createHash, randomUUID } from 'node:crypto';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fingerprintOf } from '../../src/index.ts';
import { type Certificate, makeCertificate } from './certificate.ts';
import { makeMachine } from './machine.ts';
import type { BmcOptions, Fault } from './options.ts';
import { makeTree, type Node, type Tree } from './tree.ts';

/** A request as it came in. */
export type Seen = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Node;
};

/** A running simulated BMC. */
export type Bmc = {
  readonly url: string;
  readonly port: number;
  readonly certificate: Certificate;
  readonly fingerprint: string;
  readonly tree: Tree;
  readonly seen: Seen[];
  addFault(fault: Fault): void;
  /** Forgets all sessions, as a BMC that restarted. */
  dropSessions(): void;
  sessionCount(): number;
  /** Sends an event to all streams. */
  emit(path: string, what: string): void;
  /** Ends all connections; streams break off. */
  breakConnections(): void;
  stop(): Promise<void>;
};

export const USER = 'admin';
export const PASSWORD = 'pass-w0rd"secret';
const V1 = '/redfish/v1';
let shared: Certificate | undefined;

/** Starts a BMC on a free port of 127.0.0.1. */
export async function startBmc(options: BmcOptions = {}): Promise<Bmc> {
  shared ??= makeCertificate();
  const certificate = shared;
  const tree = makeTree(options);
  const sessions = new Map<string, string>();
  const tasks = new Map<string, { polls: number }>();
  const streams = new Set<ServerResponse>();
  const seen: Seen[] = [];
  const faults: { rule: Fault; left: number }[] = [];
  let eventNumber = 0;
  const addFault = (rule: Fault) => void faults.push({ rule, left: rule.times ?? Number.POSITIVE_INFINITY });
  options.faults?.forEach(addFault);

  function emit(path: string, what: string): undefined {
    eventNumber++;
    const record = {
      EventId: String(eventNumber),
      EventTimestamp: '2026-01-01T00:00:00Z',
      MessageId: `Sim.1.0.${what}`,
      Message: what,
      Severity: 'OK',
      OriginOfCondition: { '@odata.id': path },
    };
    const payload = JSON.stringify({
      '@odata.type': '#Event.v1_9_0.Event',
      Id: String(eventNumber),
      Name: 'Event',
      Events: [record],
    });
    for (const stream of streams) stream.write(`: hello\r\nid: ${eventNumber}\r\ndata: ${payload}\r\n\r\n`);
  }
  const machine = makeMachine(tree, options, emit);

  function etagOf(node: Node): string | undefined {
    if (options.etags === 'none') return undefined;
    const hash = createHash('sha1').update(JSON.stringify(node)).digest('hex').slice(0, 12);
    return options.etags === 'weak' ? `W/"${hash}"` : `"${hash}"`;
  }
  function send(res: ServerResponse, status: number, body?: unknown, headers: Record<string, string> = {}): undefined {
    const text = body === undefined ? '' : JSON.stringify(body);
    res.writeHead(status, {
      'OData-Version': '4.0',
      ...(text === '' ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    });
    res.end(text);
  }
  function fail(res: ServerResponse, status: number, name: string): undefined {
    const message = {
      MessageId: `Base.1.18.${name}`,
      Message: `Failed: ${name}`,
      MessageArgs: [],
      MessageSeverity: 'Warning',
      Resolution: 'None',
    };
    send(res, status, {
      error: { code: 'Base.1.18.GeneralError', message: 'See ExtendedInfo', '@Message.ExtendedInfo': [message] },
    });
  }
  function authorised(req: IncomingMessage): boolean {
    const token = req.headers['x-auth-token'];
    if (typeof token === 'string') return sessions.has(token);
    return req.headers.authorization === `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
  }
  function broken(req: IncomingMessage, res: ServerResponse, path: string): boolean {
    const fits = (pattern: string) =>
      pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
    if (options.missing?.some(fits)) {
      fail(res, 404, 'ResourceMissingAtURI');
      return true;
    }
    const fault = faults.find(
      ({ rule, left }) => left > 0 && fits(rule.path) && (rule.method ?? req.method) === req.method,
    );
    if (fault === undefined) return false;
    fault.left--;
    const { does } = fault.rule;
    if (does.kind === 'answer') {
      res.writeHead(does.status, does.headers);
      res.end(does.body);
    } else if (does.kind === 'reset') req.socket.destroy();
    else if (does.kind === 'garbage') req.socket.end('\0\0SSH-2.0-not-http\r\n\r\n');
    else if (does.kind === 'cut') {
      res.writeHead(200, { 'Content-Length': '1000', 'Content-Type': 'application/json' });
      res.write('{"PowerState": "O', () => req.socket.destroy());
    }
    return true;
  }
  function collection(node: Node, path: string, query: URLSearchParams): Node {
    const all = node['Members'] as Node[];
    const { pageSize } = options;
    if (pageSize === undefined) return node;
    const skip = Number(query.get('$skip') ?? 0);
    const more = skip + pageSize < all.length && options.pageLinks !== false;
    return {
      ...node,
      Members: all.slice(skip, skip + pageSize),
      ...(more ? { 'Members@odata.nextLink': `${path}?$skip=${skip + pageSize}` } : {}),
    };
  }
  function finish(res: ServerResponse, path: string, outcome: { status: number; message?: string }): undefined {
    if (outcome.status >= 400) return fail(res, outcome.status, outcome.message ?? 'GeneralError');
    if (options.taskPolls === undefined)
      return send(res, outcome.status, outcome.status === 204 ? undefined : tree.get(path));
    const id = String(tasks.size + 1);
    tasks.set(id, { polls: options.taskPolls });
    send(res, 202, taskBody(id, 'Running'), {
      Location: `https://inside.test${V1}/TaskService/TaskMonitors/${id}`,
      'Retry-After': '0',
    });
  }
  function taskBody(id: string, state: string): Node {
    const Messages = state === 'Exception' ? [{ MessageId: 'Base.1.18.InternalError', Message: 'Failed' }] : [];
    return {
      '@odata.id': `${V1}/TaskService/Tasks/${id}`,
      '@odata.type': '#Task.v1_7_0.Task',
      Id: id,
      Name: 'Task',
      TaskState: state,
      PercentComplete: state === 'Running' ? 50 : 100,
      Messages,
    };
  }
  function task(res: ServerResponse, path: string): boolean {
    const [, kind, id = ''] = /\/TaskService\/(Tasks|TaskMonitors)\/(\d+)$/.exec(path) ?? [];
    const found = tasks.get(id);
    if (found === undefined) return false;
    const end = options.taskEnd ?? 'Completed';
    if (found.polls-- > 0) send(res, kind === 'Tasks' ? 200 : 202, taskBody(id, 'Running'), { 'Retry-After': '0' });
    else if (kind === 'Tasks' || end === 'Exception') send(res, 200, taskBody(id, end));
    else send(res, 204);
    return true;
  }

  function get(res: ServerResponse, path: string, query: URLSearchParams): undefined {
    if (path === `${V1}/EventService/SSE` && options.events !== false) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write(': open\n\n');
      streams.add(res);
      res.once('close', () => streams.delete(res));
      return;
    }
    if (task(res, path)) return;
    machine.tick(path);
    const node = tree.get(path);
    if (node === undefined) return fail(res, 404, 'ResourceMissingAtURI');
    const etag = etagOf(node);
    const body = Array.isArray(node['Members']) ? collection(node, path, query) : node;
    send(res, 200, body, etag === undefined ? {} : { ETag: etag });
  }
  function post(res: ServerResponse, path: string, body: Node): undefined {
    if (path === `${V1}/SessionService/Sessions`) {
      if (body['UserName'] !== USER || body['Password'] !== PASSWORD)
        return fail(res, 401, `NoAccess.${body['Password']}`);
      const [id, token] = [randomUUID(), randomUUID()];
      sessions.set(token, `${path}/${id}`);
      return send(
        res,
        201,
        {
          '@odata.id': `${path}/${id}`,
          '@odata.type': '#Session.v1_7_0.Session',
          Id: id,
          Name: 'Session',
          UserName: USER,
        },
        { 'X-Auth-Token': token, Location: `${path}/${id}` },
      );
    }
    if (path === `${V1}/EventService/Subscriptions`) {
      const made = `${path}/${randomUUID()}`;
      tree.set(made, { '@odata.id': made, '@odata.type': '#EventDestination.v1_14_0.EventDestination', ...body });
      return send(res, 201, undefined, { Location: made });
    }
    finish(res, path, machine.act(path, body));
  }
  function patch(req: IncomingMessage, res: ServerResponse, path: string, body: Node): undefined {
    const node = tree.get(path);
    const condition = req.headers['if-match'];
    if (condition === undefined && options.needIfMatch === true) return fail(res, 428, 'PreconditionRequired');
    const strong = node === undefined ? undefined : etagOf(node)?.replace(/^W\//, '');
    if (condition !== undefined && condition !== '*' && condition !== strong)
      return fail(res, 412, 'PreconditionFailed');
    finish(res, path, machine.patch(path, body));
  }
  function remove(res: ServerResponse, path: string): undefined {
    const session = [...sessions].find(([, at]) => at === path);
    if (session !== undefined) sessions.delete(session[0]);
    else if (!tree.delete(path)) return fail(res, 404, 'ResourceMissingAtURI');
    send(res, 204);
  }

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://bmc');
    const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body: Node = text === '' ? {} : JSON.parse(text);
    seen.push({ method: req.method ?? '', path, headers: req.headers, body });
    if (broken(req, res, path)) return;
    const open = path === V1 || (req.method === 'POST' && path === `${V1}/SessionService/Sessions`);
    if (options.sessions === false && path.startsWith(`${V1}/SessionService`))
      return fail(res, 404, 'ResourceMissingAtURI');
    if (!open && !authorised(req)) return fail(res, 401, 'NoValidSession');
    if (req.method === 'GET') get(res, path, url.searchParams);
    else if (req.method === 'POST') post(res, path, body);
    else if (req.method === 'PATCH') patch(req, res, path, body);
    else if (req.method === 'DELETE') remove(res, path);
    else fail(res, 405, 'OperationNotAllowed');
  }
  const listener = (req: IncomingMessage, res: ServerResponse) => {
    handle(req, res).catch(() => res.destroy());
  };
  const server = options.plainHttp === true ? createHttp(listener) : createHttps(certificate, listener);
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.plainHttp === true ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    certificate,
    fingerprint: fingerprintOf(certificate.cert),
    tree,
    seen,
    addFault,
    dropSessions: () => sessions.clear(),
    sessionCount: () => sessions.size,
    emit,
    breakConnections: () => server.closeAllConnections(),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
