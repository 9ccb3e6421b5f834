/** Bad days of Keystone, Placement, Neutron and Cinder: what passes by is outlived, what is refused ends the server as nova's users expect. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/wait.ts';
import type { Fault, FaultRule } from './support/fault-proxy.ts';
import { type FaultyNode, openFaultyNode, type ServiceName } from './support/faulty-node.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';
import { expectFailedBuild } from './support/whole.ts';

const { hostname } = NODES.vm;

/** Larger than any answer that the node reads (16 MiB). */
const tooMuch = 17 * 2 ** 20;

const concurrentUpdate = { errors: [{ status: 409, code: 'placement.concurrent_update', detail: 'somebody wrote' }] };
const refused = (status: number): Fault => ({ status, body: { badRequest: { code: status, message: 'no' } } });
const busy: Fault = { status: 503, headers: { 'retry-after': '1' } };

const signingIn = { method: 'POST', path: /\/auth\/tokens$/ } as const;

/** A token that lives for some milliseconds. */
const overAtOnce: Fault = {
  edit(answer) {
    const { token } = answer as { readonly token: { readonly issued_at: string } };
    return { token: { ...token, expires_at: new Date(Date.parse(token.issued_at) + 4).toISOString() } };
  },
};

/** Once each. */
const once = (...rules: readonly FaultRule[]): readonly FaultRule[] => rules.map((rule) => ({ times: 1, ...rule }));

/** An answer with fields of one of its things changed; `of`: only where it has these. */
const edited = (thing: string, changes: object, of: Readonly<Record<string, unknown>> = {}): Fault => ({
  edit(answer) {
    const { [thing]: whole, ...rest } = answer as Record<string, Readonly<Record<string, unknown>>>;
    const isMeant = whole !== undefined && Object.entries(of).every(([name, value]) => whole[name] === value);
    return isMeant ? { ...rest, [thing]: { ...whole, ...changes } } : answer;
  },
});

describe.skipIf(PEER === 'stock')('services on a bad day', { timeout: 240_000 }, () => {
  const live = liveServers();
  const { cloud, servers, volumes } = live;
  let faulty: FaultyNode;
  /** Servers of the test that is under way that have failed as they should. */
  const errored: string[] = [];
  const rules = (service: ServiceName, ...given: readonly FaultRule[]): void =>
    faulty.services[service].rules(...given);

  beforeAll(async () => {
    // other memory than before: it is written
    faulty = await openFaultyNode(cloud, { call_timeout_s: 3, reserved_host_memory_mib: 1024 });
    rules(
      'keystone',
      ...once(
        { method: 'POST', fault: busy },
        { method: 'POST', fault: { status: 500 } },
        { method: 'POST', fault: 'cut' },
      ),
    );
    rules(
      'placement',
      ...once(
        { method: 'GET', path: /resource_providers/, fault: busy },
        { method: 'PUT', path: /\/inventories$/, fault: { status: 409, body: concurrentUpdate } },
        { method: 'PUT', path: /\/inventories$/, fault: 'lost' },
      ),
    );
    await faulty.node.start();
    await until('the node is registered', async () => faulty.unmet().length === 0, 60_000).catch(() => {
      throw new Error(`not asked for: ${faulty.unmet().join('; ')}`);
    });
  });
  afterEach(() => {
    errored.length = 0;
    faulty.pass();
  });
  afterAll(async () => {
    await faulty.close();
  });

  /** In error, on no host, with this in its fault; and nothing of it is anywhere. */
  async function failed(id: string, fault: string | RegExp): Promise<void> {
    await expectFailedBuild(live, id, fault, errored);
    errored.push(id);
    expect(faulty.unmet()).toEqual([]);
    faulty.pass();
  }

  it('builds a server once and deletes it, whatever passes by', async () => {
    rules(
      'neutron',
      ...once(
        { method: 'GET', path: /\/ports/, fault: 'hang' },
        { method: 'GET', path: /\/ports/, fault: { status: 401 } },
        { method: 'GET', path: /\/ports/, fault: { text: '<html>a proxy is here</html>' } },
        { method: 'GET', path: /\/ports/, fault: { bytes: tooMuch } },
        { method: 'POST', path: /\/ports/, fault: 'lost' },
        { method: 'PUT', path: /\/ports/, fault: 'cut' },
        { method: 'PUT', path: /\/ports/, fault: busy },
      ),
    );
    rules(
      'cinder',
      ...once(
        { method: 'POST', path: /\/volumes$/, fault: 'lost' },
        { method: 'GET', path: /\/volumes\/\w/, fault: { status: 502 } },
        { method: 'POST', path: /\/attachments$/, fault: { status: 500 } },
        { method: 'POST', path: /\/attachments$/, fault: 'lost' },
        { method: 'PUT', path: /\/attachments\//, fault: 'reset' },
        { method: 'PUT', path: /\/attachments\//, fault: 'cut' },
        { method: 'POST', path: /\/attachments\/.*\/action/, fault: 'lost' },
        { method: 'POST', path: /\/attachments\/.*\/action/, fault: { text: 'a proxy is here' } },
      ),
    );
    const id = await servers.create('vm');
    const server = await servers.until(id, 'ACTIVE');
    expect(faulty.unmet()).toEqual([]);
    expect(server).not.toHaveProperty('fault');
    expect(server['os-extended-volumes:volumes_attached']).toHaveLength(1);
    expect(await servers.ports(id)).toHaveLength(1);
    expect((await servers.actions(id)).flatMap(({ events }) => events.map(({ result }) => result))).not.toContain(
      'Error',
    );

    rules(
      'placement',
      ...once({ method: 'DELETE', fault: busy }, { method: 'DELETE', fault: { status: 409, body: concurrentUpdate } }),
    );
    rules('neutron', ...once({ method: 'DELETE', fault: 'lost' }, { method: 'DELETE', fault: { status: 500 } }));
    rules(
      'cinder',
      ...once(
        { method: 'DELETE', path: /\/attachments\//, fault: { status: 500 } },
        { method: 'DELETE', path: /\/attachments\//, fault: 'lost' },
        { method: 'DELETE', path: /\/volumes\//, fault: 'reset' },
      ),
    );
    await servers.remove(id);
    await servers.untilGone(id);
    expect(faulty.unmet()).toEqual([]);
  });

  it('is in error where Neutron cannot bind its port, and no other host is left', async () => {
    rules('neutron', {
      method: 'PUT',
      path: /\/ports\//,
      body: new RegExp(`"binding:host_id":"${hostname}"`),
      fault: edited('port', { 'binding:vif_type': 'binding_failed' }),
    });
    await failed(await servers.create('vm'), 'Exhausted all hosts');
  });

  it('is in error where its project has no volume or no port left', async () => {
    const overLimit = { overLimit: { code: 413, message: 'VolumeLimitExceeded' } };
    rules('cinder', { method: 'POST', path: /\/volumes$/, fault: { status: 413, body: overLimit } });
    await failed(await servers.create('vm'), 'VolumeLimitExceeded');
    const overQuota = { NeutronError: { type: 'OverQuota', message: 'Quota exceeded', detail: '' } };
    rules('neutron', { method: 'POST', path: /\/ports/, fault: { status: 409, body: overQuota } });
    await failed(await servers.create('vm'), 'Quota exceeded');
  });

  it('is in error where its volume is, or cannot be attached', async () => {
    rules('cinder', {
      method: 'GET',
      path: /\/volumes\/[0-9a-f]{8}-/,
      fault: edited('volume', { status: 'error' }, { status: 'available' }),
    });
    await failed(await servers.create('vm'), 'is error');
    rules('cinder', { method: 'PUT', path: /\/attachments\//, fault: refused(400) });
    await failed(await servers.create('vm'), 'connect attachment');
    rules('cinder', { method: 'POST', path: /\/attachments\/.*\/action/, fault: refused(400) });
    await failed(await servers.create('vm'), 'complete attachment');
  });

  it('waits for a service that is away, and a delete ends that', async () => {
    rules('cinder', { method: 'POST', path: /\/attachments$/, fault: { status: 500 } });
    const id = await servers.create('vm');
    await until('it was tried again', async () => faulty.services.cinder.met > 2, 60_000);
    expect(await servers.show(id)).toMatchObject({ status: 'BUILD', 'OS-EXT-STS:task_state': 'block_device_mapping' });
    await servers.remove(id);
    await servers.untilGone(id);
  });

  it('says what Neutron does not take back, and a delete tries again', async () => {
    rules('neutron', { method: 'DELETE', path: /\/ports\//, fault: refused(403) });
    rules('cinder', { method: 'PUT', path: /\/attachments\//, fault: refused(400) });
    const id = await servers.create('vm');
    await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('is in ERROR');
    expect(await servers.show(id)).toMatchObject({ 'OS-EXT-SRV-ATTR:host': hostname });
    const [port] = await servers.ports(id);
    await expectNothingLeft(cloud, [id, port?.id ?? 'a port']);
    const build = (await faulty.requests()).find(
      ({ instance, method }) => instance === id && method === 'build_and_run_instance',
    );
    expect(build).toMatchObject({ state: 'failed' });
    expect(build?.left).toMatchObject([expect.stringMatching(/^ports: /)]);
    faulty.pass();
    await servers.remove(id);
    await servers.untilGone(id);
  });

  it('has a volume more or as it was, whatever Cinder refuses', async () => {
    const id = await servers.create('vm');
    await servers.until(id, 'ACTIVE');
    const volume = await volumes.create(1);
    const path = `/servers/${id}/os-volume_attachments`;
    const attach = (): Promise<unknown> =>
      cloud.admin.call('compute', 'POST', path, { body: { volumeAttachment: { volumeId: volume } } });
    const events = async (): Promise<readonly (string | null)[]> =>
      (await servers.actions(id))
        .filter(({ action }) => action === 'attach_volume')
        .flatMap(({ events: each }) => each.map(({ result }) => result));
    const steps: readonly FaultRule[] = [
      { method: 'PUT', path: /\/attachments\//, fault: refused(400) },
      { method: 'POST', path: /\/attachments\/.*\/action/, fault: refused(400) },
    ];
    for (const [index, rule] of steps.entries()) {
      rules('cinder', rule);
      await attach();
      await until(
        'it has failed',
        async () => (await events()).filter((each) => each === 'Error').length === index + 1,
      );
      await volumes.until(volume, 'available');
      expect(await volumes.ofServer(id)).toHaveLength(1);
      expect(faulty.unmet()).toEqual([]);
    }
    // a token of ours that is refused is got anew, once
    const { keystone } = faulty.services;
    const tokens = (): number => keystone.seen.filter((each) => each === 'POST /v3/auth/tokens').length;
    const before = tokens();
    rules('cinder', { method: 'PUT', path: /\/attachments\//, times: 1, fault: { status: 401 } });
    await attach();
    await volumes.until(volume, 'in-use');
    expect(faulty.unmet()).toEqual([]);
    expect(tokens()).toBe(before + 1);
    expect(await volumes.ofServer(id)).toHaveLength(2);
    await servers.until(id, 'ACTIVE');
  });

  it.each(['is refused', 'has expired'])('goes on with builds whose token %s while Keystone hangs', async (how) => {
    const root = await volumes.create(1, { imageRef: cloud.image });
    const { keystone } = faulty.services;
    const hangs: FaultRule = { ...signingIn, fault: 'hang' };
    const unknown: Fault = { status: 401 };
    const expires = how === 'has expired';
    if (expires) {
      // who is not known any more gets a token that is over at once
      rules('keystone', { ...signingIn, fault: overAtOnce });
      rules('cinder', { method: 'PUT', path: /\/attachments\//, times: 1, fault: unknown });
    } else {
      rules('keystone', hangs);
      rules('cinder', { method: 'POST', path: /\/attachments\/.*\/action/, fault: unknown });
    }
    const bootable = { boot_index: 0, source_type: 'volume', destination_type: 'volume', uuid: root };
    const ids = await Promise.all([
      servers.create('vm'),
      servers.create('vm', { imageRef: undefined, block_device_mapping_v2: [bootable] }),
    ]);
    if (expires) {
      await until('it has such a token', async () => keystone.met > 0, 60_000);
      rules('keystone', hangs);
    }
    await until('it was waited for, and asked again', async () => keystone.met > 1, 60_000);
    for (const id of ids) expect(await servers.show(id)).toMatchObject({ status: 'BUILD' });
    expect(faulty.unmet()).toEqual([]);
    faulty.pass();
    for (const id of ids) expect(await servers.until(id, 'ACTIVE')).not.toHaveProperty('fault');
  });
});
