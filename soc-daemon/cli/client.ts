import { readFileSync } from 'node:fs';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Problem } from '../../schemas/generated/rest.ts';
import { CliError, exitCode, usage } from './exit-code.ts';

// by an import Node would load undici with it: 11 MiB and 70 ms of CPU
const { request: httpRequest } = process.getBuiltinModule('node:http');

/** Where the node's REST interface is. */
export interface Target {
  readonly socket: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
}

/** A server-sent event. */
export interface StreamEvent {
  readonly type: string;
  readonly data: unknown;
}

/** The REST interface as the commands use it. */
export interface Client {
  /** @throws CliError: not found, not reachable, or failed with the problem's words. */
  ask(method: string, path: string, body?: unknown): Promise<unknown>;
  /** A request whose answer may be an error status with a body of its own. */
  askAny(method: string, path: string): Promise<{ readonly status: number; readonly body: unknown }>;
  /** An answer that is text. @throws CliError, as `ask`. */
  text(path: string): Promise<Buffer>;
  /** The node's events, until the connection ends or the signal says so. */
  events(signal?: AbortSignal): AsyncGenerator<StreamEvent>;
}

/** Makes a client; nothing is opened before the first request. @throws CliError `usage` for a target that cannot be used. */
export function createClient(target: Target): Client {
  const where = target.url ?? target.socket;
  const base = options(target);
  const start = target.url === undefined ? httpRequest : httpsRequest;

  async function open(method: string, path: string, extra: RequestOptions, body?: unknown): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...base.headers,
      ...extra.headers,
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    };
    return await new Promise((resolve, reject) => {
      const request = start({ ...base, ...extra, method, path, headers, agent: false }, resolve);
      request.on('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code ?? 'connection failed';
        reject(
          new CliError(
            exitCode.notReachable,
            `cannot reach the node at ${where} (${why}): is soc-daemon running?`,
            cause,
          ),
        );
      });
      request.end(text);
    });
  }

  async function askAny(method: string, path: string, body?: unknown) {
    const response = await open(method, path, {}, body);
    const text = (await read(response, where)).toString();
    return { status: response.statusCode ?? 0, body: parse(text, where) };
  }

  return {
    askAny,
    ask: async (method, path, body) => {
      const answer = await askAny(method, path, body);
      if (answer.status >= 400) throw problemError(answer.status, answer.body);
      return answer.body;
    },
    text: async (path) => {
      const response = await open('GET', path, { headers: { accept: 'text/plain, application/problem+json' } });
      const bytes = await read(response, where);
      if (response.statusCode !== 200) throw problemError(response.statusCode ?? 0, parse(bytes.toString(), where));
      return bytes;
    },
    events: async function* (signal) {
      const extra = { headers: { accept: 'text/event-stream' }, ...(signal === undefined ? {} : { signal }) };
      const response = await open('GET', '/v1/events', extra);
      if (response.statusCode !== 200)
        throw problemError(response.statusCode ?? 0, parse((await read(response, where)).toString(), where));
      response.setEncoding('utf8');
      let rest = '';
      for await (const chunk of response) {
        const blocks = (rest + String(chunk)).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const event = parseEvent(block);
          if (event !== undefined) yield event;
        }
      }
    },
  };
}

function options(target: Target): RequestOptions & { readonly ca?: Buffer } {
  if (target.url === undefined) return { socketPath: target.socket };
  if (!URL.canParse(target.url)) throw usage('--url is not a URL');
  const url = new URL(target.url);
  if (url.protocol !== 'https:') throw usage('--url must begin with https://');
  if (target.tokenFile === undefined) throw usage('--url needs --token-file');
  const token = file(target.tokenFile).toString().split('\n')[0]?.trim() ?? '';
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 443 : Number(url.port),
    headers: { authorization: `Bearer ${token}` },
    ...(target.ca === undefined ? {} : { ca: file(target.ca) }),
  };
}

function file(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new CliError(exitCode.usage, `cannot read ${path}`, cause);
  }
}

async function read(response: IncomingMessage, where: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (cause) {
    throw new CliError(exitCode.notReachable, `the connection to ${where} broke`, cause);
  }
  return Buffer.concat(chunks);
}

function parse(text: string, where: string): unknown {
  try {
    return text === '' ? null : (JSON.parse(text) as unknown);
  } catch (cause) {
    throw new CliError(exitCode.failed, `what answers at ${where} does not speak JSON`, cause);
  }
}

function problemError(status: number, body: unknown): CliError {
  const problem = (body ?? {}) as Partial<Problem>;
  const exit = problem.code === 'not_found' ? exitCode.notFound : exitCode.failed;
  return new CliError(exit, `${problem.detail ?? `the node answered ${status}`} (${problem.code ?? status})`);
}

function parseEvent(block: string): StreamEvent | undefined {
  const field = (name: string): string | undefined =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  const data = field('data');
  return data === undefined ? undefined : { type: field('event') ?? 'message', data: JSON.parse(data) as unknown };
}
