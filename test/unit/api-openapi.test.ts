import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { routes } from '../../soc-daemon/api/routes.ts';
import { type Answer, type ApiFixture, startApi } from '../support/api-fixture.ts';

interface Described {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: object }>> }>>;
  readonly requestBody?: { content: { 'application/json': { schema: object } } };
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: object;
}

let fixture: ApiFixture;
let document: Document;
let ajv: Ajv2020;
const seen = new Set<string>();

beforeAll(async () => {
  fixture = await startApi();
  document = (await fixture.ask('GET', '/openapi.json')).json as Document;
  ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
  ajv.addVocabulary(['components']);
  ajv.addSchema({ $id: 'doc', components: document.components } as object, 'doc', false, false);
});
afterAll(() => fixture.close());

/** Checks an answer against what the document says of its operation; counts the operation as exercised. */
function checkAnswer(method: string, template: string, answer: Answer): void {
  const described = document.paths[template]?.[method.toLowerCase()];
  expect(described, `${method} ${template} is in the document`).toBeDefined();
  if (!described) return;
  if (answer.status < 400) seen.add(described.operationId);
  const reply = described.responses[String(answer.status)] ?? described.responses.default;
  const type = answer.headers['content-type']?.split(';')[0] ?? '';
  if (reply?.content === undefined) {
    expect(answer.text).toBe('');
    return;
  }
  expect(Object.keys(reply.content)).toContain(type);
  if (!type.includes('json')) return;
  const errors = violations(reply.content[type]?.schema ?? {}, answer.json);
  expect(errors, `${method} ${template} ${answer.status} ${answer.text}`).toEqual([]);
}

function violations(schema: object, value: unknown): readonly unknown[] {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"doc#/components');
  const check = ajv.compile(JSON.parse(text) as object);
  return check(value) ? [] : (check.errors ?? []);
}

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly values?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
}

const one = '/v1/instances/{uuid}';
const nowhere = '00000000-0000-4000-8000-000000000000';

function exchanges(uuid: string, running: string, stuck: string): readonly Exchange[] {
  const i = { uuid };
  const accepted = (path: string, body?: unknown, method = 'POST', values: Record<string, string> = i): Exchange => ({
    method,
    path,
    values,
    ...(body === undefined ? {} : { body }),
    status: 200,
  });
  return [
    { method: 'GET', path: '/v1/node', status: 200 },
    { method: 'GET', path: '/v1/health', status: 200 },
    { method: 'GET', path: '/v1/power', status: 200 },
    { method: 'GET', path: '/v1/identity', status: 200 },
    { method: 'PUT', path: '/v1/membership', body: { member: false, force: true }, status: 200 },
    { method: 'GET', path: '/v1/membership', status: 200 },
    { method: 'GET', path: '/v1/bios', status: 200 },
    { method: 'POST', path: '/v1/bios/capture', status: 200 },
    { method: 'POST', path: '/v1/bios/restore', status: 200 },
    { method: 'GET', path: '/v1/instances', query: '?limit=1&state=active', status: 200 },
    { method: 'GET', path: one, values: i, status: 200 },
    { method: 'GET', path: one, values: i, headers: { 'if-none-match': '"1"' }, status: 304 },
    { method: 'GET', path: one, values: { uuid: nowhere }, status: 404 },
    { method: 'GET', path: one, values: { uuid: 'x' }, status: 400 },
    {
      method: 'POST',
      path: '/v1/instances',
      body: { name: 'i2', flavor: '4c8g', networks: [{ subnet: 'net1', mac: 'FA-16-3E-00-00-02' }], image: 'demo' },
      status: 200,
    },
    accepted(`${one}/actions/start`),
    accepted(`${one}/actions/stop`, { timeout: 5 }),
    accepted(`${one}/actions/reboot`, { type: 'soft' }),
    accepted(`${one}/actions/pause`),
    accepted(`${one}/actions/unpause`),
    accepted(`${one}/actions/suspend`),
    accepted(`${one}/actions/resume`),
    accepted(`${one}/actions/rebuild`),
    accepted(`${one}/actions/rescue`),
    accepted(`${one}/actions/unrescue`),
    accepted(`${one}/actions/resize`, { new_flavor: '8c16g' }),
    accepted(`${one}/actions/reset-password`, { new_password: 'hunter22' }),
    accepted(`${one}/actions/prepare-migration`, { target: 'node-2' }),
    accepted(`${one}/actions/finish-migration`, {}),
    accepted(`${one}/actions/abort-migration`),
    { method: 'GET', path: `${one}/interfaces`, values: i, status: 200 },
    accepted(`${one}/interfaces`, { network: { subnet: 'net1' } }),
    accepted(`${one}/interfaces/{port_id}`, undefined, 'DELETE', { uuid, port_id: 'port-1' }),
    accepted(`${one}/interfaces/{port_id}/qos`, { bps: 1000 }, 'PUT', { uuid, port_id: 'port-1' }),
    { method: 'GET', path: `${one}/volumes`, values: i, status: 200 },
    accepted(`${one}/volumes`, { volume: { volume_id: 'vol-2' } }),
    accepted(`${one}/volumes/{volume_id}`, undefined, 'DELETE', { uuid, volume_id: 'vol-1' }),
    accepted(`${one}/snapshots`, { volume_id: 'vol-1', name: 's' }),
    accepted(`${one}/volumes/{volume_id}/resize`, { size_bytes: 2 ** 31 }, 'POST', { uuid, volume_id: 'vol-1' }),
    { method: 'POST', path: `${one}/console`, values: i, body: { type: 'serial' }, status: 200 },
    { method: 'POST', path: `${one}/console`, values: i, body: { type: 'vnc' }, status: 501 },
    { method: 'GET', path: `${one}/console/log`, values: i, status: 200 },
    { method: 'GET', path: `${one}/diagnostics`, values: i, status: 200 },
    { method: 'GET', path: '/v1/operations', query: '?limit=2', status: 200 },
    { method: 'GET', path: '/v1/operations/{id}', values: { id: running }, status: 200 },
    { method: 'POST', path: '/v1/operations/{id}/cancel', values: { id: running }, status: 200 },
    { method: 'POST', path: '/v1/operations/{id}/cancel', values: { id: running }, status: 409 },
    { method: 'POST', path: '/v1/operations/{id}/retry', values: { id: stuck }, status: 200 },
    { method: 'GET', path: '/v1/functions', status: 200 },
    { method: 'GET', path: '/v1/bindings', status: 200 },
    { method: 'PUT', path: '/v1/maintenance', body: { enabled: true, reason: 'new card' }, status: 200 },
    { method: 'GET', path: '/v1/maintenance', status: 200 },
    { method: 'GET', path: '/v1/audit', query: '?limit=3', status: 200 },
    { method: 'GET', path: '/v1/platform/requests', query: '?limit=2', status: 200 },
    { method: 'POST', path: '/v1/platform/requests/{id}/retry', values: { id: 'flow-1' }, status: 200 },
    { method: 'GET', path: '/healthz', status: 200 },
    { method: 'GET', path: '/readyz', status: 200 },
    { method: 'GET', path: '/metrics', status: 200 },
    { method: 'GET', path: '/openapi.json', status: 200 },
    { method: 'DELETE', path: one, values: i, headers: { 'if-match': '"1"' }, status: 200 },
  ];
}

it('answers every operation of its own document as the document says', async () => {
  const instance = fixture.service.addInstance();
  fixture.service.endAtOnce = false;
  const accepted = await fixture.ask('POST', `/v1/instances/${instance.uuid}/actions/start`);
  expect(accepted.status).toBe(202);
  checkAnswer('POST', `${one}/actions/start`, accepted);
  const running = (accepted.json as { id: string }).id;
  const other = await fixture.ask('POST', `/v1/instances/${instance.uuid}/actions/start`);
  const stuck = (other.json as { id: string }).id;
  fixture.service.end(stuck, 'stuck', { code: 'hardware', message: 'the card is silent', retry: 'operator' });
  fixture.service.endAtOnce = true;

  for (const each of exchanges(instance.uuid, running, stuck)) {
    const path = each.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => each.values?.[name] ?? '');
    const answer = await fixture.ask(each.method, `${path}${each.query ?? ''}`, {
      ...(each.body === undefined ? {} : { body: each.body }),
      ...(each.headers === undefined ? {} : { headers: each.headers }),
    });
    expect(answer.status, `${each.method} ${path} ${answer.text}`).toBe(each.status);
    checkAnswer(each.method, each.path, answer);
    const schema = document.paths[each.path]?.[each.method.toLowerCase()]?.requestBody?.content['application/json'];
    if (each.body !== undefined) expect(violations(schema?.schema ?? {}, each.body), path).toEqual([]);
  }
  fixture.readiness = {
    ready: false,
    reasons: [{ id: 'bmc-unreachable', message: 'the BMC is silent', since: '2026-11-21T05:00:00Z' }],
  };
  const unready = await fixture.ask('GET', '/readyz');
  expect(unready.status).toBe(503);
  checkAnswer('GET', '/readyz', unready);

  const documented = Object.values(document.paths).flatMap((item) => Object.values(item).map((op) => op.operationId));
  expect(new Set(documented).size).toBe(routes.length);
  expect(documented.filter((id) => !seen.has(id))).toEqual(['watch_events', 'open_dashboard']); // the stream has its own tests
});

it('normalises what it hands to the service and says who asked', async () => {
  fixture.service.addInstance();
  const body = { name: 'i3', flavor: '4c8g', networks: [{ subnet: 'net1', mac: 'FA-16-3E-00-00-03' }] };
  await fixture.ask('POST', '/v1/instances', { body, headers: { 'idempotency-key': 'k1' } });
  const last = fixture.service.submitted.at(-1);
  expect(last?.caller).toEqual({ by: 'rest:admin' });
  expect(last?.args).toEqual({
    ...body,
    networks: [{ subnet: 'net1', mac: 'fa:16:3e:00:00:03' }],
    request_id: 'k1',
  });
});

it('refers to nothing outside of the document', () => {
  const text = JSON.stringify(document);
  const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1] ?? '');
  expect(references.length).toBeGreaterThan(50);
  for (const reference of new Set(references)) {
    const parts = reference.split('/').slice(1);
    const target = parts.reduce<unknown>((node, part) => (node as Record<string, unknown>)?.[part], document);
    expect(target, reference).toBeDefined();
  }
});
