/** An HTTP proxy in front of one REST service, which does to chosen requests what a bad day would. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/**
 * What happens to a request.
 * - `hold`: it waits until other rules are given, and passes then.
 * - `hang`: it is not passed on, and no answer comes. `swallowed`: the service does it, and no answer comes; it is met when it is done. `reset`: the connection breaks before it is passed on.
 * - `lost`: the service does it, and the connection breaks. `cut`: it breaks in the middle of the answer.
 * - `short`: a whole answer with the first half of what the service says; `corrupt`: one with another byte in its middle.
 * - `text`: an answer that is no JSON; `bytes`: one of so many bytes; `edit`: the service's own, changed.
 */
export type Fault =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | 'hold'
  | 'hang'
  | 'swallowed'
  | 'reset'
  | 'lost'
  | 'cut'
  | 'short'
  | 'corrupt'
  | { readonly text: string }
  | { readonly bytes: number }
  | { edit(answer: unknown): unknown };

/** Which requests, how often, and what happens to them. */
export interface FaultRule {
  readonly method?: string;
  /** Of path and query. */
  readonly path?: RegExp;
  /** Of the request's body. */
  readonly body?: RegExp;
  /** How often; for ever unless told. */
  readonly times?: number;
  readonly fault: Fault;
}

/** The proxy; `url` stands in the service's place. */
export interface FaultProxy {
  readonly url: string;
  /** From now on these, first match first; none: everything passes. What hangs goes on hanging, what is held passes. */
  rules(...rules: readonly FaultRule[]): void;
  /** Requests that a rule met since the rules were given. */
  readonly met: number;
  /** Rules that have met no request yet, as text. */
  readonly unmet: readonly string[];
  /** `METHOD path` of everything that came, newest last. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

/** Larger than any request of ours but an image's. */
const MOST_BYTES = 4 * 2 ** 20;

/** The service's answer as the client gets it. */
function editedBy(fault: Fault | undefined, whole: Buffer): Buffer {
  if (whole.length === 0) return whole;
  const half = Math.floor(whole.length / 2);
  if (fault === 'short') return whole.subarray(0, half);
  if (fault === 'corrupt') return Buffer.concat([whole.subarray(0, half), Buffer.of(0xa5), whole.subarray(half + 1)]);
  const edits = typeof fault === 'object' && 'edit' in fault;
  return edits ? Buffer.from(JSON.stringify(fault.edit(JSON.parse(whole.toString())))) : whole;
}

/** Starts one on a free port of 127.0.0.1, in front of `target`. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const base = new URL(target);
  const seen: string[] = [];
  let active: { readonly rule: FaultRule; left: number; met: number }[] = [];

  let released = Promise.withResolvers<void>();

  function ruleFor(method: string, path: string, body: string): (typeof active)[number] | undefined {
    const found = active.find(
      ({ rule, left }) =>
        left > 0 &&
        (rule.method ?? method) === method &&
        (rule.path === undefined || rule.path.test(path)) &&
        (rule.body === undefined || rule.body.test(body)),
    );
    if (found === undefined) return undefined;
    found.left -= 1;
    if (found.rule.fault !== 'swallowed') found.met += 1;
    return found;
  }

  /** The service's answer; its body as it is. */
  async function asked(from: IncomingMessage, body: Buffer): Promise<{ head: IncomingMessage; answer: Buffer }> {
    const { host: _, 'transfer-encoding': __, ...headers } = from.headers;
    const options = { host: base.hostname, port: base.port, method: from.method, path: from.url, headers };
    const onward = request({ ...options, agent: false });
    onward.end(body);
    const [head] = (await once(onward, 'response')) as [IncomingMessage];
    return { head, answer: await buffer(head) };
  }

  async function answer(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = from;
    const body = await buffer(from);
    if (body.length > MOST_BYTES) throw new Error('a request is larger than the proxy takes');
    seen.push(`${method} ${url}`);
    const met = ruleFor(method, url, body.toString());
    const fault = met?.rule.fault;
    if (fault === 'hang') return;
    if (fault === 'hold') await released.promise;
    if (fault === 'reset') {
      from.socket.destroy();
      return;
    }
    if (typeof fault === 'object' && !('edit' in fault)) {
      const told = 'status' in fault ? fault : { status: 200, body: undefined };
      const text =
        'text' in fault
          ? fault.text
          : 'bytes' in fault
            ? `"${'x'.repeat(fault.bytes)}"`
            : JSON.stringify(told.body ?? {});
      const type = 'text' in fault ? 'text/html' : 'application/json';
      to.writeHead(told.status, { 'content-type': type, ...('headers' in told ? told.headers : {}) }).end(text);
      return;
    }
    const { head, answer: whole } = await asked(from, body);
    const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...headers } = head.headers;
    if (met !== undefined && fault === 'swallowed') {
      met.met += 1;
      return;
    }
    if (fault === 'lost') {
      from.socket.destroy();
      return;
    }
    const edited = editedBy(fault, whole);
    // an answer without a body must not get one
    const length =
      edited.length > 0 || head.headers['content-length'] !== undefined ? { 'content-length': edited.length } : {};
    to.writeHead(head.statusCode ?? 502, { ...headers, ...length });
    if (fault !== 'cut') {
      to.end(edited);
      return;
    }
    to.write(edited.subarray(0, edited.length / 2), () => from.socket.destroy());
  }

  const server = createServer((from, to) => {
    // a connection that broke on either side breaks on the other
    answer(from, to).catch(() => from.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${base.pathname.replace(/\/$/, '')}`,
    rules(...rules) {
      released.resolve();
      released = Promise.withResolvers();
      active = rules.map((rule) => ({ rule, left: rule.times ?? Number.POSITIVE_INFINITY, met: 0 }));
    },
    get met() {
      return active.reduce((sum, { met }) => sum + met, 0);
    },
    get unmet() {
      return active
        .filter(({ met }) => met === 0)
        .map(({ rule: { method = '', path = '', body = '', fault } }) =>
          [method, path, body, JSON.stringify(fault)].map(String).join(' '),
        );
    },
    seen,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
