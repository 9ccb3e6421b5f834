import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, type RequestOptions, request as send } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../core/ports/log.ts';
import { systemClock } from '../../kit/clock.ts';
import { createMetrics } from '../../kit/metrics.ts';
import type { PlatformRequest, Readiness } from '../../schemas/generated/rest.ts';
import { type Api, type ApiAddress, type ApiOptions, createApi } from '../../soc-daemon/api/create-api.ts';
import { createFakeService, type FakeService } from './fake-service.ts';

/** An answer as it came; `json` is its body, undefined where there is none. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: unknown;
}

interface AskOptions {
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A REST interface on a unix socket of its own, over a fake service. */
export interface ApiFixture {
  readonly service: FakeService;
  readonly api: Api;
  readonly address: ApiAddress;
  readonly directory: string;
  readiness: Readiness;
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  close(): Promise<void>;
}

/** A request of nova that is under way. */
const platformRequest: PlatformRequest = {
  id: '00000000-0000-4000-8000-000000000009',
  method: 'stop_instance',
  instance: '00000000-0000-4000-8000-0000000000aa',
  state: 'running',
  steps: [{ name: 'power', phase: 'doing', started_at: '2026-11-21T05:00:00.000Z', ended_at: null, attempts: 1 }],
  error: null,
  left: [],
  request_id: 'req-1',
  created_at: '2026-11-21T05:00:00.000Z',
  updated_at: '2026-11-21T05:00:00.000Z',
};

/** Starts one. Whoever does closes it. */
export async function startApi(
  config: Partial<ApiOptions['config']> = {},
  options: Partial<ApiOptions> = {},
): Promise<ApiFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'dpu-api-'));
  const service = createFakeService();
  const api = createApi({
    service,
    config: { socket: join(directory, 'rest.sock'), ...config },
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics({ process: false }),
    readiness: () => fixture.readiness,
    retryPlatformRequest: async () => {},
    platformRequests: (limit) => Array.from({ length: limit }, () => platformRequest),
    ...options,
  });
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const address = await api.listen().catch((error: unknown) => {
    remove();
    throw error;
  });
  const fixture: ApiFixture = {
    service,
    api,
    address,
    directory,
    readiness: { ready: true, reasons: [] },
    ask: (method, path, asked) => ask({ socketPath: fixture.address.socket, method, path }, asked),
    close: async () => {
      await api.close(0);
      remove();
    },
  };
  return fixture;
}

/** One request on a connection of its own. */
export async function ask(target: RequestOptions, options: AskOptions = {}): Promise<Answer> {
  const text = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const headers = {
    ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    ...options.headers,
  };
  return await new Promise((resolve, reject) => {
    const request = send({ ...target, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString();
        const json = /json/.test(response.headers['content-type'] ?? '') && answer !== '';
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: answer,
          json: json ? JSON.parse(answer) : undefined,
        });
      });
    });
    request.on('error', reject);
    request.end(text);
  });
}
