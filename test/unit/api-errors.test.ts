import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { DpuError, type ErrorCode, errorTable } from '../../core/errors.ts';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

/** Long enough for a machine that has more to do. */
const patient = { timeout: 15_000, interval: 20 };

let fixture: ApiFixture;
afterEach(() => fixture.close());

const nowhere = '/v1/instances/00000000-0000-4000-8000-000000000000';

it('answers every code of the table with its status', async () => {
  fixture = await startApi();
  for (const [code, row] of Object.entries(errorTable)) {
    fixture.service.failure = new DpuError(code as ErrorCode, 'asking the card', { field: 'x' });
    const answer = await fixture.ask('GET', '/v1/node');
    expect(answer.status).toBe(row.http);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.json).toMatchObject({ status: row.http, code, detail: 'asking the card', field: 'x' });
  }
  fixture.service.failure = new Error('password=hunter2');
  const hidden = await fixture.ask('GET', '/v1/node');
  expect(hidden.status).toBe(500);
  expect(hidden.text).not.toContain('hunter2');
});

it.each([
  ['GET', '/nowhere', {}, 404, undefined],
  ['GET', '/v1/instances/', {}, 404, undefined],
  ['PATCH', '/v1/node', {}, 405, undefined],
  ['GET', '/v1/instances?colour=red', {}, 400, 'colour'],
  ['GET', '/v1/instances?limit=x', {}, 400, 'limit'],
  ['GET', '/v1/instances?limit=0', {}, 400, 'limit'],
  ['GET', '/v1/instances?limit=1&limit=2', {}, 400, 'limit'],
  ['GET', '/v1/node', { headers: { accept: 'text/html' } }, 406, 'Accept'],
  ['POST', '/v1/instances', { raw: 'a', headers: { 'content-type': 'text/plain' } }, 415, 'Content-Type'],
  ['POST', '/v1/instances', { raw: '{' }, 400, undefined],
  ['POST', '/v1/instances', { raw: '[]' }, 400, undefined],
  ['POST', '/v1/instances', { body: { name: 'a' } }, 400, 'flavor'],
  ['POST', '/v1/instances', { body: { name: 'a', flavor: 'b', colour: 1 } }, 400, 'colour'],
  ['POST', '/v1/instances', { body: { name: 'a', flavor: 'b', wait: true } }, 400, 'wait'],
  ['POST', '/v1/instances', { body: { name: 'a', flavor: { vcpus: 0, memory_mib: 1 } } }, 400, 'flavor.vcpus'],
  ['POST', '/v1/instances', { body: { name: 'x'.repeat(3000), flavor: 'b' } }, 413, undefined],
  ['POST', `${nowhere}/actions/start`, { headers: { 'idempotency-key': 'a b' } }, 400, 'Idempotency-Key'],
  ['POST', `${nowhere}/actions/start`, { body: { a: 1 } }, 400, undefined],
  ['GET', '/v1/instances/%ZZ', {}, 400, undefined],
] as const)('%s %s %j: %i', async (method, path, options, status, field) => {
  fixture = await startApi({ max_body_bytes: 2048 });
  const answer = await fixture.ask(method, path, options);
  expect(answer.status, answer.text).toBe(status);
  expect(answer.json).toMatchObject({ status, ...(field === undefined ? {} : { field }) });
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(fixture.service.submitted).toEqual([]);
  if (status === 405) expect(answer.headers.allow).toBe('GET, HEAD');
});

it('answers a body that would overflow the stack as invalid, and takes one that is 64 levels deep', async () => {
  fixture = await startApi();
  const build = (levels: number): string => {
    const data = `${'{"a":'.repeat(levels)}{}${'}'.repeat(levels)}`;
    return `{"name":"a","flavor":"4c8g","volumes":[{"volume_id":"v","connection_info":{"data":${data}}}]}`;
  };
  for (const levels of [60, 100_000]) {
    const refused = await fixture.ask('POST', '/v1/instances', { raw: build(levels) });
    expect(refused.status).toBe(400);
    expect(refused.json).toMatchObject({ code: 'invalid', detail: 'the body is nested deeper than 64 levels' });
  }
  expect(fixture.service.submitted).toEqual([]);
  expect((await fixture.ask('POST', '/v1/instances', { raw: build(59) })).status).toBe(200);
});

it('refuses a change to a generation that is gone', async () => {
  fixture = await startApi();
  const { uuid } = fixture.service.addInstance({ generation: 4 });
  const headers = { 'if-match': '"3"' };
  expect((await fixture.ask('DELETE', `/v1/instances/${uuid}`, { headers })).status).toBe(412);
  expect(fixture.service.submitted).toEqual([]);
});

it('limits requests, time and waiting', async () => {
  fixture = await startApi({ requests_per_second: 4, request_timeout_ms: 200 });
  fixture.service.endAtOnce = false;
  const { uuid } = fixture.service.addInstance();
  const waited = await fixture.ask('POST', `/v1/instances/${uuid}/actions/start?wait=true`);
  expect(waited.status).toBe(202);
  fixture.service.gate = new Promise(() => {});
  expect((await fixture.ask('POST', `/v1/instances/${uuid}/actions/start`)).status).toBe(504);
  const many = await Promise.all(Array.from({ length: 12 }, () => fixture.ask('GET', '/healthz')));
  const refused = many.find((each) => each.status === 429);
  expect(refused?.json).toMatchObject({ code: 'busy' });
  expect(refused?.headers['retry-after']).toBe('1');
});

it('answers who waits for an end when it closes, and does not wait with them', async () => {
  fixture = await startApi();
  fixture.service.endAtOnce = false;
  const { uuid } = fixture.service.addInstance();
  const waiting = fixture.ask('POST', `/v1/instances/${uuid}/actions/start?wait=true`);
  await vi.waitFor(() => expect(fixture.service.submitted).toHaveLength(1), patient);
  await fixture.api.close(60_000);
  const answer = await waiting;
  expect(answer.status).toBe(202);
  expect(answer.json).toMatchObject({ kind: 'start', state: 'running' });
});

it('answers what is not HTTP with a problem', async () => {
  fixture = await startApi();
  const text = await new Promise<string>((resolve) => {
    let got = '';
    const socket = createConnection(fixture.address.socket, () => socket.write('nonsense\r\n\r\n'));
    socket.on('data', (chunk) => {
      got += chunk.toString();
    });
    socket.on('close', () => resolve(got));
  });
  expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json/);
});

it('opens its socket with the mode asked for, replaces a dead one and refuses a live one', async () => {
  fixture = await startApi({ socket_mode: '0640' });
  expect(statSync(fixture.address.socket).mode & 0o777).toBe(0o640);
  await expect(startApi({ socket: fixture.address.socket })).rejects.toMatchObject({ code: 'conflict' });
  const dead = join(fixture.directory, 'dead.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  expect(statSync(dead).isSocket()).toBe(true);
  const second = await startApi({ socket: dead });
  expect((await second.ask('GET', '/healthz')).status).toBe(200);
  await second.close();
});

it('opens no TCP port with a token that others may read', async () => {
  fixture = await startApi();
  const token = join(fixture.directory, 'token');
  writeFileSync(token, 'x'.repeat(32), { mode: 0o644 });
  const tcp = { port: 0, cert_file: token, key_file: token, token_file: token };
  const socket = join(fixture.directory, 'b.sock');
  await expect(startApi({ socket, tcp })).rejects.toMatchObject({ code: 'invalid', field: 'rest.tcp.token_file' });
  expect(() => statSync(socket)).toThrow();
});
