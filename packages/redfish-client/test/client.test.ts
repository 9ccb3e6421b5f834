import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  BadOptionError,
  connectRedfish,
  ejectMedia,
  findSystem,
  HttpError,
  insertMedia,
  LookupError,
  listChassis,
  listManagers,
  listSystems,
  listVirtualMedia,
  members,
  patch,
  readInventory,
  readSerialConsoles,
  readServiceRoot,
  readSystem,
  setPower,
  subscribe,
  unsubscribe,
} from '../src/index.ts';
import { makeCertificate } from './bmc/certificate.ts';
import { PASSWORD, startBmc, USER } from './bmc/server.ts';
import { CD, MANAGER, SYSTEM } from './bmc/tree.ts';
import { bench, quick } from './support.ts';

const V1 = '/redfish/v1';

describe('login', () => {
  it('opens one session for many requests, opens another after a 401, and ends it', async () => {
    await using at = await bench();
    await Promise.all(Array.from({ length: 8 }, () => readSystem(at.client, SYSTEM)));
    expect(at.bmc.sessionCount()).toBe(1);
    at.bmc.dropSessions();
    await Promise.all([
      setPower(at.client, SYSTEM, 'on'),
      readSystem(at.client, SYSTEM),
      readSystem(at.client, SYSTEM),
    ]);
    expect(at.bmc.sessionCount()).toBe(1);
    await at.client.close();
    expect(at.bmc.sessionCount()).toBe(0);
    const kinds = at.notices.map(({ kind }) => kind);
    expect(kinds).toEqual(['session-opened', 'session-lost', 'session-opened', 'session-closed']);
    await expect(readSystem(at.client, SYSTEM)).rejects.toMatchObject({ code: 'closed' });
  });

  it('uses basic where asked, or where there are no sessions', async () => {
    await using at = await bench({}, { auth: { kind: 'basic', username: USER, password: PASSWORD } });
    await readSystem(at.client, SYSTEM);
    expect(at.bmc.sessionCount()).toBe(0);
    await using old = await bench({ sessions: false }, { auth: { kind: 'auto', username: USER, password: PASSWORD } });
    await readSystem(old.client, SYSTEM);
    expect(old.notices).toEqual([{ kind: 'basic-fallback' }]);
  });

  it('tries a wrong password once, shows it nowhere, and never falls back to basic', async () => {
    const secret = 'wrong-Secret';
    await using at = await bench({}, { auth: { kind: 'auto', username: USER, password: secret } });
    const error: unknown = await findSystem(at.client).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'unauthorized' });
    expect(inspect([error, at.notices, at.client], { depth: 9 }) + JSON.stringify(error)).not.toContain(secret);
    expect(at.bmc.seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('starts anew on a BMC that restarted in the middle', async () => {
    const bmc = await startBmc();
    const client = connectRedfish(quick(bmc, { retries: 1000, timeoutMs: 20_000 }));
    await setPower(client, SYSTEM, 'on');
    await bmc.stop();
    const reading = readSystem(client, SYSTEM);
    const again = await startBmc({ port: bmc.port });
    expect((await reading).powerState).toBe('Off');
    expect(again.sessionCount()).toBe(1);
    await client.close();
    await again.stop();
  });
});

describe('TLS', () => {
  it('sends nothing to a certificate that is not pinned or not signed by the CA', async () => {
    await using at = await bench();
    const other = makeCertificate();
    for (const tls of [{ fingerprints: ['00'.repeat(32)] }, { ca: other.cert }, {}]) {
      const client = connectRedfish(quick(at.bmc, { tls }));
      await expect(client.get(V1)).rejects.toMatchObject({ code: 'tls' });
      await client.close();
    }
    expect(at.bmc.seen).toEqual([]);
    for (const tls of [{ ca: at.bmc.certificate.cert }, { unverified: true }]) {
      const client = connectRedfish(quick(at.bmc, { tls }));
      expect((await readServiceRoot(client)).redfishVersion).toBe('1.20.0');
      await client.close();
    }
    const renamed = connectRedfish(quick(at.bmc, { tls: { ca: at.bmc.certificate.cert, serverName: 'other.test' } }));
    await expect(renamed.get(V1)).rejects.toMatchObject({ code: 'tls' });
    await renamed.close();
  });

  it('wants plain HTTP and nonsense to be asked for', async () => {
    const bad =
      (url: string, more = {}) =>
      () =>
        connectRedfish({ url, auth: { kind: 'none' }, ...more });
    for (const url of ['http://bmc', 'https://a:b@bmc', 'ftp://bmc', '://']) expect(bad(url)).toThrow(BadOptionError);
    expect(bad('https://bmc', { tls: { fingerprints: ['ab'] } })).toThrow(BadOptionError);
    expect(bad('https://bmc', { maxInFlight: 0 })).toThrow(BadOptionError);
    await using at = await bench({ plainHttp: true }, { plainHttp: true });
    expect((await findSystem(at.client)).id).toBe('host');
  });
});

describe('ETags', () => {
  it.each(['strong', 'weak'] as const)(
    'sends If-Match, and again after somebody else changed it: %s',
    async (etags) => {
      await using at = await bench({ etags, needIfMatch: true });
      await readSystem(at.client, SYSTEM);
      at.bmc.addFault({ method: 'PATCH', path: SYSTEM, times: 1, does: { kind: 'answer', status: 412 } });
      await patch(at.client, SYSTEM, { HostName: 'renamed' });
      expect((await readSystem(at.client, SYSTEM)).hostName).toBe('renamed');
      expect(at.notices.some(({ kind }) => kind === 'etag-retry')).toBe(true);
    },
  );

  it("leaves a conflict with the caller's own ETag to the caller", async () => {
    await using at = await bench();
    const { etag } = await readSystem(at.client, SYSTEM);
    await patch(at.client, SYSTEM, { HostName: 'theirs' }, { ifMatch: etag });
    const late = patch(at.client, SYSTEM, { HostName: 'ours' }, { ifMatch: etag });
    await expect(late).rejects.toMatchObject({ code: 'precondition-failed' });
    expect((await readSystem(at.client, SYSTEM)).hostName).toBe('theirs');
  });

  it('sends * where a precondition is needed and no ETag is given', async () => {
    await using at = await bench({ etags: 'none', needIfMatch: true });
    await patch(at.client, SYSTEM, { HostName: 'renamed' });
    expect((await readSystem(at.client, SYSTEM)).hostName).toBe('renamed');
  });
});

describe('faults', () => {
  it('repeats a read that answers 503 twice, and no write', async () => {
    await using at = await bench();
    at.bmc.addFault({ path: SYSTEM, times: 2, does: { kind: 'answer', status: 503, headers: { 'Retry-After': '0' } } });
    expect((await readSystem(at.client, SYSTEM)).id).toBe('host');
    at.bmc.addFault({ method: 'POST', path: `${SYSTEM}/Actions/*`, times: 1, does: { kind: 'reset' } });
    await expect(setPower(at.client, SYSTEM, 'on')).rejects.toMatchObject({ code: 'connection' });
    expect(at.bmc.seen.filter(({ path }) => path.endsWith('.Reset'))).toHaveLength(1);
  });

  it('tells the rest when parts are missing, busy, slow or broken', async () => {
    const faults = [
      { path: `${SYSTEM}/Processors/CPU2`, does: { kind: 'answer', status: 503 } },
      { path: `${SYSTEM}/Memory/DIMM1`, does: { kind: 'hang' } },
      { path: `${SYSTEM}/Memory/DIMM2`, does: { kind: 'cut' } },
      { path: `${SYSTEM}/Memory/DIMM3`, does: { kind: 'answer', status: 200, body: '<html>' } },
      { path: `${SYSTEM}/EthernetInterfaces/nic1`, does: { kind: 'garbage' } },
    ] as const;
    const missing = [`${SYSTEM}/Storage*`, '/redfish/v1/Chassis/rack/NetworkAdapters*'];
    await using at = await bench({ faults, missing }, { partTimeoutMs: 3000, retries: 1, maxInFlight: 1 });
    const found = await readInventory(at.client, SYSTEM);
    expect(found.processors.map(({ id }) => id)).toEqual(['CPU1']);
    expect(found.memory.map(({ id }) => id)).toEqual(['DIMM4']);
    expect(found.pcieDevices).toHaveLength(1);
    const told = found.problems.map(({ path, code }) => [path.split('/').slice(4).join('/'), code]);
    expect(new Map(told.map(([path = '', code = '']) => [path, code]))).toEqual(
      new Map([
        ['host/Processors/CPU2', 'unavailable'],
        ['host/Memory/DIMM1', 'timeout'],
        ['host/Memory/DIMM2', 'connection'],
        ['host/Memory/DIMM3', 'protocol'],
        ['host/EthernetInterfaces/nic1', 'protocol'],
        ['host/Storage', 'not-found'],
        ['rack/NetworkAdapters', 'not-found'],
      ]),
    );
  });

  it('ends with the deadline or the signal, even on a host that never accepts TLS', async () => {
    await using at = await bench();
    at.bmc.addFault({ path: SYSTEM, does: { kind: 'hang' } });
    await expect(readSystem(at.client, SYSTEM, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' });
    const own = new AbortController();
    const reading = readSystem(at.client, SYSTEM, { signal: own.signal });
    own.abort(new Error('mine'));
    await expect(reading).rejects.toThrow('mine');

    const mute = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
    await new Promise((resolve) => mute.once('listening', resolve));
    const { port } = mute.address() as { port: number };
    const client = connectRedfish(quick({ ...at.bmc, url: `https://127.0.0.1:${port}` }));
    await expect(client.get(V1, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'timeout' });
    await client.close();
    await new Promise((resolve) => mute.close(resolve));
  });

  it('follows redirects on its own origin alone, and for reads alone', async () => {
    await using at = await bench();
    await readSystem(at.client, SYSTEM);
    const to = (location: string, method = 'GET') =>
      at.bmc.addFault({
        method,
        path: '/old',
        times: 1,
        does: { kind: 'answer', status: 308, headers: { Location: location } },
      });
    to(SYSTEM);
    expect((await at.client.get('/old')).path).toBe(SYSTEM);
    for (const other of ['https://evil.test/x', '//evil.test/x', `http://127.0.0.1:${at.bmc.port}/x`]) {
      to(other);
      await expect(at.client.get('/old')).rejects.toMatchObject({ code: 'redirect' });
    }
    to(SYSTEM, 'POST');
    await expect(at.client.request('POST', '/old', { body: {} })).rejects.toMatchObject({ code: 'redirect' });
    await expect(at.client.get('https://evil.test/redfish/v1')).rejects.toMatchObject({ code: 'redirect' });
    at.bmc.addFault({ path: '/old', does: { kind: 'answer', status: 302, headers: { Location: '/old' } } });
    await expect(at.client.get('/old')).rejects.toMatchObject({ code: 'redirect' });
  });

  it('limits size, depth and requests in flight', async () => {
    await using at = await bench({}, { maxBytes: 20_000, maxDepth: 20, maxInFlight: 2 });
    await readSystem(at.client, SYSTEM);
    const answer = (body: string) =>
      at.bmc.addFault({ path: '/big', times: 1, does: { kind: 'answer', status: 200, body } });
    answer(JSON.stringify({ a: 'x'.repeat(30_000) }));
    await expect(at.client.get('/big')).rejects.toMatchObject({ code: 'too-large' });
    answer(`{"a":${'['.repeat(30)}${']'.repeat(30)}}`);
    await expect(at.client.get('/big')).rejects.toMatchObject({ code: 'protocol' });
    at.bmc.addFault({ path: '/hold', does: { kind: 'hang' } });
    const own = new AbortController();
    const held = Array.from({ length: 9 }, () => at.client.get('/hold', { signal: own.signal }).catch(() => 'ended'));
    await expect.poll(() => at.bmc.seen.filter(({ path }) => path === '/hold').length).toBe(2);
    own.abort();
    await Promise.all(held);
    expect(at.bmc.seen.filter(({ path }) => path === '/hold')).toHaveLength(2);
    expect((await readSystem(at.client, SYSTEM)).id).toBe('host');
  });

  it('tells ExtendedInfo, without the secrets that the service quotes', async () => {
    await using at = await bench();
    const media = { image: 'http://refused/', userName: 'u', password: 'media-Secret' };
    const error: unknown = await insertMedia(at.client, CD, media).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({
      status: 400,
      code: 'bad-request',
      messages: [{ messageId: 'Base.1.18.Refused.***' }],
    });
    expect(inspect(error, { depth: 9 })).not.toContain('media-Secret');
    const gone: unknown = await at.client.get('/redfish/v1/None').catch((thrown: unknown) => thrown);
    expect(gone instanceof HttpError && gone.has('ResourceMissingAtURI')).toBe(true);
  });
});

describe('resources', () => {
  it.each([{ pageLinks: true }, { pageLinks: false }])('reads all pages: %o', async ({ pageLinks }) => {
    await using at = await bench({ pageSize: 3, pageLinks });
    const found = await Array.fromAsync(members(at.client, `${SYSTEM}/Memory`));
    expect(found).toHaveLength(4);
    expect((await readInventory(at.client, SYSTEM)).memory).toHaveLength(4);
  });

  it('ends on pages that run in a circle', async () => {
    await using at = await bench();
    const memory = at.bmc.tree.get(`${SYSTEM}/Memory`) ?? {};
    memory['Members@odata.nextLink'] = `${SYSTEM}/Memory`;
    await expect(Array.fromAsync(members(at.client, `${SYSTEM}/Memory`))).rejects.toMatchObject({ code: 'protocol' });
  });

  it('finds a system by what it is known by', async () => {
    await using at = await bench();
    expect((await listSystems(at.client)).items).toHaveLength(1);
    const uuid = '6f9619ff-8b86-D011-B42D-00C04FC964FF';
    expect((await findSystem(at.client, { uuid, serialNumber: 'SN-0001' })).path).toBe(SYSTEM);
    await expect(findSystem(at.client, { serialNumber: 'SN-2' })).rejects.toBeInstanceOf(LookupError);
    at.bmc.addFault({ path: SYSTEM, does: { kind: 'answer', status: 500 } });
    await expect(findSystem(at.client, { serialNumber: 'SN-2' })).rejects.toMatchObject({ status: 500 });
  });

  it('reads chassis, managers and consoles', async () => {
    await using at = await bench();
    expect((await listChassis(at.client)).items).toMatchObject([{ type: 'RackMount', systems: [SYSTEM] }]);
    expect((await listManagers(at.client)).items).toMatchObject([{ path: MANAGER, firmwareVersion: '9.9' }]);
    const system = await findSystem(at.client);
    const [ssh, ipmi] = (await readSerialConsoles(at.client, system)).items;
    expect(ssh).toMatchObject({ protocol: 'SSH', port: 2200, entryCommand: 'start console', hotKeys: '~.' });
    expect(ipmi).toMatchObject({ protocol: 'IPMI', enabled: false });
    delete at.bmc.tree.get(SYSTEM)?.['SerialConsole'];
    const shared = await readSerialConsoles(at.client, await findSystem(at.client));
    expect(shared.items.map(({ protocol }) => protocol)).toEqual(['SSH', 'IPMI']);
  });

  it.each([true, false])('inserts and ejects media, by action: %s', async (mediaActions) => {
    await using at = await bench({ mediaActions });
    const system = await findSystem(at.client);
    const read = async () => (await listVirtualMedia(at.client, system)).items[0];
    const image = 'https://images.test/a.iso';
    await insertMedia(at.client, CD, { image });
    await insertMedia(at.client, CD, { image });
    expect(await read()).toMatchObject({ inserted: true, image });
    await expect(insertMedia(at.client, CD, { image: `${image}.2` })).rejects.toMatchObject({ code: 'unsupported' });
    await ejectMedia(at.client, CD);
    await ejectMedia(at.client, CD);
    expect(await read()).toMatchObject({ inserted: false, image: undefined });
  });

  it('subscribes a web server, and ends it twice', async () => {
    await using at = await bench();
    const path = await subscribe(at.client, { destination: 'https://listener.test/', context: 'ours' });
    expect(at.bmc.tree.get(path)).toMatchObject({ Destination: 'https://listener.test/', Context: 'ours' });
    await unsubscribe(at.client, path);
    await unsubscribe(at.client, path);
    expect(at.bmc.tree.has(path)).toBe(false);
  });
});
