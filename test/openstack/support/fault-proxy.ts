/** An HTTP proxy in front of one REST service, which does to chosen requests what a bad day would. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request. `lost`: the service does it, and its answer never comes. */
export type Fault =
  | { readonly status: number; readonly body?: unknown }
  | 'hang'
  | 'reset'
  | 'lost'
  | { readonly text: string };

/** Which requests, how often, and what happens to them. */
export interface FaultRule {
  readonly method?: string;
  /** Of path and query. */
  readonly path?: RegExp;
  /** How often; for ever unless told. */
  readonly times?: number;
  readonly fault: Fault;
}

/** The proxy; `url` stands in the service's place. */
export interface FaultProxy {
  readonly url: string;
  /** From now on these, first match first; none: everything passes. */
  rules(...rules: readonly FaultRule[]): void;
  /** Requests that a rule met since the rules were given. */
  readonly met: number;
  /** `METHOD path` of everything that came, newest last. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

/** Starts one on a free port of 127.0.0.1, in front of `target`. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const base = new URL(target);
  const seen: string[] = [];
  let active: { readonly rule: FaultRule; left: number }[] = [];
  let met = 0;

  function faultOf(method: string, path: string): Fault | undefined {
    const found = active.find(
      ({ rule, left }) =>
        left > 0 && (rule.method ?? method) === method && (rule.path === undefined || rule.path.test(path)),
    );
    if (found === undefined) return undefined;
    found.left -= 1;
    met += 1;
    return found.rule.fault;
  }

  function pass(from: IncomingMessage, to: ServerResponse, lose: boolean): void {
    const { host: _, ...headers } = from.headers;
    const options = { host: base.hostname, port: base.port, method: from.method, path: from.url, headers };
    const onward = request({ ...options, agent: false }, (answer) => {
      if (lose) {
        answer.resume().on('end', () => from.socket.destroy());
        return;
      }
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => from.socket.destroy());
    from.pipe(onward);
  }

  const server = createServer((from, to) => {
    const { method = 'GET', url = '/' } = from;
    seen.push(`${method} ${url}`);
    const fault = faultOf(method, url);
    if (fault === undefined || fault === 'lost') pass(from, to, fault === 'lost');
    else if (fault === 'reset') from.socket.destroy();
    else if (fault === 'hang') from.resume();
    else if ('text' in fault) {
      from.resume();
      to.writeHead(200, { 'content-type': 'text/html' }).end(fault.text);
    } else {
      from.resume();
      to.writeHead(fault.status, { 'content-type': 'application/json' }).end(JSON.stringify(fault.body ?? {}));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${base.pathname.replace(/\/$/, '')}`,
    rules(...rules) {
      met = 0;
      active = rules.map((rule) => ({ rule, left: rule.times ?? Number.POSITIVE_INFINITY }));
    },
    get met() {
      return met;
    },
    seen,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
