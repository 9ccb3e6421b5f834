import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../core/errors.ts';
import type { CallOptions, HttpClient, HttpMethod, HttpRequest } from '../../platform-adapter/openstack/rest/http.ts';
import { refusalType } from '../../platform-adapter/openstack/rest/rest-errors.ts';
import { rejection } from '../contract/samples.ts';
import { type Answer, quickClock, startService, type TestService, testClient } from './openstack-rest/service.ts';

let service: TestService;
let client: HttpClient;
let clock: ReturnType<typeof quickClock>;
const ok: Answer = { status: 200, json: { fine: true } };

beforeEach(async () => {
  service = await startService(() => ok);
  clock = quickClock();
  client = testClient(clock);
});

afterEach(async () => {
  client.close();
  await service[Symbol.asyncDispose]();
});

const send = (method: HttpMethod = 'GET', more: Partial<HttpRequest> = {}, options?: CallOptions) =>
  client.send({ doing: 'ask', service: 'nobody', method, url: new URL('/thing', service.url), ...more }, options);

describe('a request is sent again', () => {
  it('after 503 twice, with longer and longer pauses', async () => {
    service.next.push({ status: 503 }, { status: 503 });
    expect((await send()).json).toEqual({ fine: true });
    expect(service.seen).toHaveLength(3);
    expect(clock.slept).toEqual([200, 400]);
  });

  it.each([
    ['GET', 503, 2],
    ['PUT', 503, 2],
    ['DELETE', 502, 2],
    ['POST', 503, 1],
    ['PATCH', 504, 1],
    ['POST', 429, 2],
    ['GET', 500, 2],
    ['PUT', 500, 1],
    ['GET', 404, 1],
    ['GET', 501, 1],
  ] as const)('%s after %d: %d tries', async (method, status, tries) => {
    service.next.push({ status });
    await send(method).catch(() => undefined);
    expect(service.seen).toHaveLength(tries);
  });

  it('after the connection broke, where twice is as good as once', async () => {
    service.next.push('reset');
    await send('PUT', { json: { a: 1 } });
    service.next.push('reset');
    const error = await rejection(send('POST', { json: { a: 1 } }), 'unavailable');
    expect(error.details).toEqual({ service: 'nobody', type: 'ECONNRESET' });
    service.next.push('reset');
    await send('POST', { json: { a: 1 }, repeatable: true });
    expect(service.seen.map(({ method }) => method)).toEqual(['PUT', 'PUT', 'POST', 'POST', 'POST']);
  });

  it('after an answer that broke off or is no JSON, where it only read', async () => {
    service.next.push('break-off', { status: 200, text: '<html>Bad gateway</html>' });
    expect((await send()).json).toEqual({ fine: true });
    service.next.push({ status: 200, text: '<html>' });
    expect(refusalType(await rejection(send('PUT'), 'unavailable'))).toBe('garbled');
    expect(service.seen).toHaveLength(4);
  });

  it('four times in all', async () => {
    service.answer = () => ({ status: 503 });
    await rejection(send(), 'unavailable');
    expect(service.seen).toHaveLength(4);
    expect(clock.slept).toEqual([200, 400, 800]);
  });

  it('when the service says, and not at all when that is too late', async () => {
    service.next.push({ status: 503, headers: { 'Retry-After': '3' } });
    await send();
    expect(clock.slept).toEqual([3000]);
    service.next.push({ status: 503, headers: { 'Retry-After': '3600' } });
    await rejection(send(), 'unavailable');
    expect(service.seen).toHaveLength(3);
  });

  it('even one that changes something, while nobody listens', async () => {
    await service[Symbol.asyncDispose]();
    const error = await rejection(send('POST', { json: {} }), 'unavailable');
    expect(refusalType(error)).toBe('ECONNREFUSED');
    expect(clock.slept).toHaveLength(3);
    service = await startService();
  });
});

it('has a connection of its own where it may not be repeated', async () => {
  await send('GET');
  await send('GET');
  await send('POST', { json: {} });
  await send('PUT', { json: {} });
  expect(service.seen.map(({ connection }) => connection)).toEqual([1, 1, 2, 1]);
});

describe('a call ends', () => {
  it('at its deadline, however slow the answer', async () => {
    service.next.push('hang');
    await rejection(send('GET', {}, { timeoutMs: 100 }), 'timeout');
    service.next.push('stall');
    await rejection(send('GET', {}, { timeoutMs: 100 }), 'timeout');
    expect(service.seen).toHaveLength(2);
  });

  it('with the reason of its signal', async () => {
    service.answer = () => 'hang';
    const reason = new Error('nobody wants it any more');
    const ended = new AbortController();
    const call = send('GET', {}, { signal: ended.signal });
    await expect.poll(() => service.seen.length).toBe(1);
    ended.abort(reason);
    await expect(call).rejects.toBe(reason);
    await expect(send('GET', {}, { signal: ended.signal })).rejects.toBe(reason);
  });

  it('when the answer is larger than it may be', async () => {
    service.answer = () => 'endless';
    const error = await rejection(send('GET', { maxBytes: 1_000_000 }), 'unavailable');
    expect(refusalType(error)).toBe('too-large');
    expect(service.seen).toHaveLength(1);
  });
});

describe('a refusal', () => {
  const neutron = (type: string) => ({ NeutronError: { type, message: 'Sorry.', detail: '' } });
  it.each<[number, Answer, ErrorCode, string | undefined]>([
    [400, { status: 400, json: { badRequest: { code: 400, message: 'Invalid input' } } }, 'invalid', 'badRequest'],
    [403, { status: 403, json: neutron('PolicyNotAuthorized') }, 'denied', 'PolicyNotAuthorized'],
    [404, { status: 404, text: '<html>404 Not Found</html>' }, 'not_found', undefined],
    [406, { status: 406, json: { errors: [{ title: 'Not Acceptable' }] } }, 'unsupported', undefined],
    [409, { status: 409, json: neutron('MacAddressInUse') }, 'conflict', 'MacAddressInUse'],
    [409, { status: 409, json: neutron('OverQuota') }, 'exhausted', 'OverQuota'],
    [409, { status: 409, json: neutron('IpAddressGenerationFailure') }, 'exhausted', 'IpAddressGenerationFailure'],
    [
      409,
      { status: 409, json: { errors: [{ code: 'placement.concurrent_update', detail: 'x' }] } },
      'conflict',
      'placement.concurrent_update',
    ],
    [
      413,
      { status: 413, json: { overLimit: { code: 413, message: 'VolumeLimitExceeded' } } },
      'exhausted',
      'overLimit',
    ],
    [301, { status: 301, headers: { Location: 'http://192.0.2.1/' } }, 'unsupported', undefined],
    [500, { status: 500, json: { computeFault: { code: 500, message: 'Oh.' } } }, 'unavailable', 'computeFault'],
  ])('%d is told by its code and the name that the service gives it (%#)', async (status, answer, code, type) => {
    service.next.push(answer);
    const error = await rejection(send('POST'), code);
    expect(error.details).toEqual({ service: 'nobody', status, ...(type === undefined ? {} : { type }) });
  });

  it('ends with what the service said, and no secret that the service repeats', async () => {
    const headers = { 'X-Auth-Token': 'TOKEN-1', 'X-Service-Token': 'TOKEN-2' };
    const json = { error: { title: 'Unauthorized', message: 'TOKEN-1 and TOKEN-2 with PASSWORD are no good' } };
    service.next.push({ status: 401, json });
    const error = await rejection(send('POST', { headers, secrets: ['PASSWORD'] }), 'denied');
    expect(error.message).toMatch(/ \(401\): \[redacted\] and \[redacted\] with \[redacted\] are no good$/);
    expect(inspect(error, { depth: 9 })).not.toMatch(/TOKEN|PASSWORD/);
  });

  it('takes no name that is no name', async () => {
    service.next.push({ status: 409, json: { NeutronError: { type: 'a long\ntext', message: 'x'.repeat(5000) } } });
    const error = await rejection(send(), 'conflict');
    expect(error.details).toEqual({ service: 'nobody', status: 409 });
    expect(error.message.length).toBeLessThan(600);
  });
});

it('tells the services which request it is for', async () => {
  await send('GET', {}, { requestId: 'req-1' });
  expect(service.seen[0]?.headers['x-openstack-request-id']).toBe('req-1');
});

it('trusts who the CA file says, and nobody else', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'dpu-rest-'));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, answer) =>
    answer.end('{"fine":true}'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`https://localhost:${(server.address() as AddressInfo).port}/`);
  const trusting = testClient(clock, cert);
  try {
    const request = { doing: 'ask', service: 'nobody', method: 'GET', url } as const;
    expect((await trusting.send(request)).json).toEqual({ fine: true });
    expect(refusalType(await rejection(client.send(request), 'denied'))).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(clock.slept).toEqual([]);
    expect(() => testClient(clock, join(dir, 'none.pem'))).toThrow("can't be read");
  } finally {
    trusting.close();
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true });
  }
});
