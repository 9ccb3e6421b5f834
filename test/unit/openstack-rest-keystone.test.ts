import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { createHttpClient, type HttpClient } from '../../platform-adapter/openstack/rest/http.ts';
import {
  type Credentials,
  createKeystone,
  type KeystoneSession,
  type KeystoneSettings,
} from '../../platform-adapter/openstack/rest/keystone.ts';
import { rejection } from '../contract/samples.ts';
import {
  type Answer,
  quickClock,
  recorded,
  type Seen,
  startService,
  type TestService,
  testClient,
} from './openstack-rest/service.ts';

const credentials: Credentials = {
  kind: 'password',
  username: 'nova',
  password: 'throwaway',
  userDomain: 'Default',
  project: 'service',
  projectDomain: 'Default',
};
const ourProject = 'd9e6557e5ee14834b36807b38c821f42';
const hour = 3_600_000;

let service: TestService;
let http: HttpClient;
let clock: ReturnType<typeof quickClock>;
let issued: number;
let good: ReadonlySet<string>;

/** A Keystone and, under other paths, services that take the newest token. */
function cloud(request: Seen): Answer {
  if (request.url.pathname === '/v3/auth/tokens' && request.method === 'POST') {
    issued += 1;
    good = new Set([`token-${issued}`]);
    const token = { ...(recorded.signIn.response.token as object), catalog: catalogue() };
    return { status: 201, headers: { 'X-Subject-Token': `token-${issued}` }, json: { token } };
  }
  const ours = request.headers['x-service-token'] ?? request.headers['x-auth-token'] ?? '';
  if (!good.has(ours)) return { status: 401, json: { error: { title: 'Unauthorized', message: 'no' } } };
  if (request.url.pathname === '/v3/auth/tokens') {
    return request.headers['x-subject-token'] === 'user-token' ? { status: 200, json: { token: {} } } : { status: 404 };
  }
  return { status: 200, json: { path: request.path } };
}

function catalogue() {
  const endpoints = (path: string, ...more: readonly [string, string][]) => [
    { id: '1', interface: 'public', region_id: 'RegionOne', region: 'RegionOne', url: `${service.url}/public${path}` },
    { id: '2', interface: 'internal', region_id: 'RegionOne', region: 'RegionOne', url: `${service.url}${path}` },
    ...more.map(([region, at]) => ({
      id: '3',
      interface: 'internal',
      region_id: region,
      region,
      url: `${service.url}${at}`,
    })),
  ];
  return [
    { type: 'placement', name: 'placement', endpoints: endpoints('/placement', ['RegionTwo', '/two']) },
    { type: 'network', name: 'neutron', endpoints: endpoints('/network/v2.0/') },
    { type: 'volumev3', name: 'cinderv3', endpoints: endpoints(`/volume/v3/${ourProject}`) },
  ];
}

function session(more: Partial<KeystoneSettings> = {}): KeystoneSession {
  return createKeystone({ authUrl: service.url, credentials, region: 'RegionOne', ...more }, { http, clock });
}

const ask = { doing: 'ask', method: 'GET', path: 'thing' } as const;
const signIns = () => service.seen.filter(({ path, method }) => path === '/v3/auth/tokens' && method === 'POST').length;

beforeEach(async () => {
  issued = 0;
  good = new Set();
  service = await startService(cloud);
  clock = quickClock();
  http = testClient(clock);
});

afterEach(async () => {
  http.close();
  await service[Symbol.asyncDispose]();
});

describe('signing in', () => {
  it.each(['', '/', '/v3', '/v3/'])('asks as nova-compute does, with the URL ending in "%s"', async (end) => {
    const token = await session({ authUrl: `${service.url}${end}` }).token();
    expect(service.seen[0]?.json).toEqual(recorded.signIn.request);
    expect(token).toEqual({
      id: 'token-1',
      projectId: ourProject,
      userId: '287acb2b14cf4cb2a0360f3411114a6e',
      roles: ['member', 'reader', 'admin', 'service'],
    });
  });

  it('asks with an application credential, which has its project', async () => {
    await session({ credentials: { kind: 'application_credential', id: 'an-id', secret: 'a-secret' } }).token();
    const identity = {
      methods: ['application_credential'],
      application_credential: { id: 'an-id', secret: 'a-secret' },
    };
    expect(service.seen[0]?.json).toEqual({ auth: { identity } });
  });

  it('is refused without a word of the password', async () => {
    service.answer = () => ({ status: 401, json: { error: { title: 'Unauthorized', message: 'throwaway is wrong' } } });
    const error = await rejection(session().token(), 'denied');
    expect(inspect(error, { depth: 9 })).not.toContain('throwaway');
    expect(service.seen).toHaveLength(1);
  });

  it('is tried again by the next call after it failed', async () => {
    const one = session();
    service.next.push('reset', 'reset', 'reset', 'reset');
    await rejection(one.token(), 'unavailable');
    expect((await one.token()).id).toBe('token-1');
  });

  it.each<[string, Answer]>([
    ['no token', { status: 201, json: { token: {} } }],
    [
      'no life time',
      { status: 201, headers: { 'X-Subject-Token': 'x' }, json: { token: { issued_at: 'a', expires_at: 'b' } } },
    ],
    ['no object', { status: 201, headers: { 'X-Subject-Token': 'x' }, json: [] }],
  ])('takes no answer that has %s', async (_, answer) => {
    service.answer = () => answer;
    await rejection(session().token(), 'unavailable');
  });
});

describe('a token', () => {
  it('is got once for all who wait for it, and kept', async () => {
    const one = session();
    await Promise.all([one.token(), one.service('placement').send(ask), one.service('network').send(ask)]);
    await one.service('placement').send(ask);
    expect(signIns()).toBe(1);
  });

  it('is renewed some minutes before it expires', async () => {
    const one = session();
    await one.token();
    clock.skip(24 * hour - 302_000);
    expect((await one.token()).id).toBe('token-1');
    clock.skip(5_000);
    expect((await one.token()).id).toBe('token-2');
  });

  it('is renewed when it is refused in mid-session', async () => {
    const one = session();
    await one.service('placement').send(ask);
    good = new Set();
    await Promise.all([one.service('placement').send(ask), one.service('network').send(ask)]);
    expect(signIns()).toBe(2);
  });

  it('is renewed no more than once for a call', async () => {
    const one = session();
    await one.token();
    service.answer = (request) => (request.method === 'POST' ? cloud(request) : { status: 401 });
    await rejection(one.service('placement').send(ask), 'denied');
    expect(signIns()).toBe(2);
    expect(service.seen.filter(({ path }) => path === '/placement/thing')).toHaveLength(2);
  });

  it('is not got for those who lost patience, and is for those who have not', async () => {
    const one = session();
    service.next.push('hang');
    const ended = new AbortController();
    const impatient = one.token({ signal: ended.signal });
    await expect.poll(() => service.seen.length).toBe(1);
    await rejection(one.token({ timeoutMs: 20 }), 'timeout');
    ended.abort(new Error('over'));
    await expect(impatient).rejects.toThrow('over');
    expect(service.seen).toHaveLength(1);
  });
});

it('gives Keystone no longer than any service, however patient those are who wait', async () => {
  const own = createHttpClient({
    clock,
    random: { unit: () => 1, uuid: () => '' },
    log: silentLog,
    tls: { caFile: null },
    timeoutMs: 50,
  });
  const one = createKeystone({ authUrl: service.url, credentials, region: 'RegionOne' }, { http: own, clock });
  service.next.push('hang');
  await rejection(one.token({ timeoutMs: 30_000 }), 'timeout');
  // the next who asks is not made to wait for the one that hangs
  expect((await one.token()).id).toBe('token-1');
  one.close();
});

describe('a service', () => {
  it('is where the catalogue says, by interface and region', async () => {
    expect((await session().endpoint('placement')).href).toBe(`${service.url}/placement`);
    expect((await session({ interfaces: ['admin', 'public', 'internal'] }).endpoint('placement')).href).toBe(
      `${service.url}/public/placement`,
    );
    expect((await session({ region: 'RegionTwo' }).endpoint('placement')).href).toBe(`${service.url}/two`);
    expect((await session({ region: null }).endpoint('network')).href).toBe(`${service.url}/network/v2.0/`);
    expect((await rejection(session({ region: null }).endpoint('placement'), 'invalid')).field).toBe(
      'platform.openstack.region',
    );
    expect((await rejection(session().endpoint('image'), 'not_found')).message).toContain('image');
    await rejection(session({ interfaces: ['admin'] }).endpoint('placement'), 'not_found');
  });

  it('is where the settings say, without asking', async () => {
    const url = await session({ endpoints: { image: 'http://192.0.2.1:9292' } }).endpoint('image');
    expect(url.href).toBe('http://192.0.2.1:9292/');
    expect(service.seen).toEqual([]);
  });

  it('gets its version in the path, its microversion in a header, and every value of a parameter', async () => {
    const one = session();
    await one.service('network').send({ ...ask, query: { id: ['a', 'b/c'], none: undefined } });
    const volume = { ...ask, microversion: '3.44' };
    await one.service('volumev3').send(volume);
    const [, network, cinder] = service.seen;
    expect(network?.path).toBe('/network/v2.0/thing?id=a&id=b%2Fc');
    expect(network?.headers).not.toHaveProperty('openstack-api-version');
    expect(cinder?.path).toBe(`/volume/v3/${ourProject}/thing`);
    expect(cinder?.headers['openstack-api-version']).toBe('volume 3.44');
    expect(cinder?.headers['x-auth-token']).toBe('token-1');
  });
});

describe("a user's token", () => {
  const user = { token: 'user-token', projectId: '7a2323605f6c4f44994a2d93e7cc62e0' };

  it("goes with the service's own, to the user's project", async () => {
    await session().withUserToken(user).service('volumev3').send(ask);
    const seen = service.seen.at(-1);
    expect(seen?.path).toBe(`/volume/v3/${user.projectId}/thing`);
    expect(seen?.headers).toMatchObject({ 'x-auth-token': 'user-token', 'x-service-token': 'token-1' });
  });

  it('lives on a renewed service token after a 401', async () => {
    const one = session();
    await one.token();
    good = new Set();
    await one.withUserToken(user).service('network').send(ask);
    expect(service.seen.at(-1)?.headers).toMatchObject({ 'x-auth-token': 'user-token', 'x-service-token': 'token-2' });
  });

  it('is in no error', async () => {
    const one = session();
    await one.token();
    service.answer = ({ headers }) => ({
      status: 403,
      json: { forbidden: { message: `${headers['x-auth-token']} may not` } },
    });
    const error = await rejection(one.withUserToken(user).service('network').send(ask), 'denied');
    expect(inspect(error, { depth: 9 })).not.toContain('user-token');
  });

  it('is good or not', async () => {
    const one = session();
    expect(await one.isValid('user-token')).toBe(true);
    expect(await one.isValid('another')).toBe(false);
  });
});
