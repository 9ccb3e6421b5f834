import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../core/units.ts';
import {
  fixedIps,
  legacyPayload,
  type PayloadName,
  payloadVersions,
  versionedPayload,
} from '../../platform-adapter/openstack/notifications/payloads.ts';
import { readContext } from '../../platform-adapter/openstack/wire/context.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import { inboundRequest, readRecording } from '../support/nova-recording.ts';
import { buildArguments, createFlowScene, type FlowScene, nova, server } from '../support/openstack/flow-scene.ts';

const wire = path.join(import.meta.dirname, '../fixtures/nova-wire');

/** What stock said in a scenario, in order. */
function notifications(scenario: string): readonly { readonly event: string; readonly payload: JsonObject }[] {
  const text = gunzipSync(readFileSync(path.join(wire, `${scenario}.jsonl.gz`))).toString('utf8');
  return text.split('\n').flatMap((line) => {
    const { method, body } = (line === '' ? {} : JSON.parse(line)) as JsonObject;
    const said = method === 'basic.publish' ? (body as JsonObject | null)?.['oslo.message'] : null;
    const inner = (typeof said === 'string' ? JSON.parse(said) : said) as JsonObject | null | undefined;
    return typeof inner?.event_type === 'string'
      ? [{ event: inner.event_type, payload: inner.payload as JsonObject }]
      : [];
  });
}

/** Fields that differ on purpose: nova makes a URL of the image, which we don't; times change between the request and what is told. */
const meant = new Set(['image_ref_url', 'updated_at', 'launched_at', 'fault']);

function differences(ours: JsonObject, theirs: JsonObject): readonly string[] {
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  return [...names].filter((name) => !meant.has(name) && JSON.stringify(ours[name]) !== JSON.stringify(theirs[name]));
}

const scenarios = [
  ['build_notifications', 'build_and_run_instance'],
  ['start_notifications', 'start_instance'],
  ['stop_notifications', 'stop_instance'],
  ['reboot_hard_notifications', 'reboot_instance'],
  ['attach_volume_notifications', 'attach_volume'],
  ['detach_volume_notifications', 'detach_volume'],
  ['delete_notifications', 'terminate_instance'],
] as const;

describe('what is told of a server has the fields and values of a stock service', () => {
  it.each(scenarios)('%s', (scenario, method) => {
    const recording = readRecording(scenario);
    const request = inboundRequest(recording, method);
    const { context } = readContext(request.context);
    const sent = request.args.instance as unknown as Primitive;
    // what some requests leave out, of the same server as it was built
    const built = inboundRequest(readRecording('build_notifications'), 'build_and_run_instance').args.instance;
    const { flavor = null } = (built as unknown as Primitive)['nova_object.data'];
    const told = notifications(scenario);
    expect(told.length).toBeGreaterThan(1);
    for (const { event, payload } of told) {
      const name = payload['nova_object.name'];
      const theirs = typeof name === 'string' ? (payload['nova_object.data'] as JsonObject) : payload;
      // the server as it was then: what it was sent with, and what was saved of it since
      const now: Record<string, Json> = {};
      const [state, task] = name === undefined ? ['state', 'state_description'] : ['state', 'task_state'];
      now.vm_state = theirs[state] ?? null;
      now.task_state = theirs[task] === '' ? null : (theirs[task] ?? null);
      for (const each of ['host', 'node', 'availability_zone'] as const) now[each] = theirs[each] ?? null;
      if (theirs.terminated_at) now.terminated_at = theirs.terminated_at;
      if (theirs.deleted_at) now.deleted_at = theirs.deleted_at;
      if (event.endsWith('create.end')) now.power_state = 1;
      if (event === 'instance.power_on.start' || event === 'instance.power_off.end') now.power_state = 4;
      if (event === 'instance.power_on.end' || event === 'instance.power_off.start') now.power_state = 1;
      if (event === 'instance.delete.end') now.power_state = 0;
      const infoCache = recordedCache(theirs);
      const instance: Primitive = {
        ...sent,
        'nova_object.data': {
          flavor,
          ...sent['nova_object.data'],
          ...now,
          info_cache: nova('InstanceInfoCache', { network_info: JSON.stringify(infoCache) }),
        },
      };
      if (typeof name === 'string') {
        expect(payload['nova_object.version']).toBe(payloadVersions[name as PayloadName]);
        const more = 'volume_id' in theirs ? { volume_id: theirs.volume_id ?? null } : disksOf(method);
        const ours = versionedPayload(name as PayloadName, instance, context, more);
        expect(differences(ours['nova_object.data'] as JsonObject, theirs), event).toEqual([]);
      } else {
        const own = ['image_name', 'message', 'volume_id'].filter((each) => each in theirs);
        const more = Object.fromEntries(own.map((each) => [each, theirs[each] ?? null]));
        const ips = 'fixed_ips' in theirs ? { fixed_ips: fixedIps(instance) as unknown as Json } : {};
        expect(differences(legacyPayload(instance, { ...more, ...ips }), theirs), event).toEqual([]);
      }
    }
  });
});

/** As the flows have it (notify.ts). */
function disksOf(method: string): JsonObject {
  return /^(build_and_run|terminate|reboot)_/.test(method) ? { block_devices: [] } : {};
}

/** VIFs from which the addresses that were told come. */
function recordedCache(theirs: JsonObject): readonly JsonObject[] {
  const legacy = ((theirs.fixed_ips ?? []) as readonly JsonObject[]).map(({ label, vif_mac, ...ip }) => ({
    address: vif_mac ?? null,
    network: { label: label ?? null, subnets: [{ ips: [ip] }] },
  }));
  const versioned = ((theirs.ip_addresses ?? []) as readonly JsonObject[]).map((each) => {
    const { label, mac, port_uuid, device_name, version, address, meta } = each['nova_object.data'] as JsonObject;
    const ip = { version: version ?? null, address: address ?? null, meta: meta ?? {} };
    return {
      id: port_uuid ?? null,
      address: mac ?? null,
      devname: device_name ?? null,
      network: { label: label ?? null, subnets: [{ ips: [ip] }] },
    };
  });
  return [...legacy, ...versioned];
}

describe('flows tell', () => {
  const scenes: FlowScene[] = [];
  afterEach(async () => {
    for (const each of scenes.splice(0)) await each.close();
  });

  function scene(instance: JsonObject, fail = false): { one: FlowScene; told: string[] } {
    const told: string[] = [];
    const one = createFlowScene({
      instance,
      notifier: {
        sends: () => true,
        async send(_kind, event) {
          if (fail) throw new Error('the broker refuses it');
          told.push(event);
          await Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    });
    scenes.push(one);
    return { one, told };
  }

  const events = (scenario: string): readonly string[] => notifications(scenario).map(({ event }) => event);

  it.each([
    ['start_notifications', 'start_instance', { vm_state: 'stopped', task_state: 'powering-on' }, 'stopped'],
    ['stop_notifications', 'stop_instance', { vm_state: 'active', task_state: 'powering-off' }, 'active'],
    ['reboot_hard_notifications', 'reboot_instance', { vm_state: 'active', task_state: 'rebooting_hard' }, 'active'],
  ] as const)('what stock tells, in its order: %s', async (scenario, method, instance, here) => {
    const { one, told } = scene(instance);
    one.compute.instances.set(server, here);
    await one.cast(method, { reboot_type: 'HARD' });
    await one.quiet();
    expect(told).toEqual(events(scenario));
  });

  it('what stock tells of a build and of a delete', async () => {
    const { one, told } = scene({});
    one.cloud.allocations.add(server);
    await one.cast('build_and_run_instance', buildArguments(one));
    await one.quiet();
    expect(told).toEqual(events('build_notifications'));
    told.length = 0;
    if (one.nova.instance) one.nova.instance.task_state = 'deleting';
    await one.cast('terminate_instance');
    await one.quiet();
    // the fake conductor shows no deleted server, so nobody is told of the end
    expect(told).toEqual(events('delete_notifications').filter((event) => !event.endsWith('delete.end')));
  });

  it('nobody where the broker refuses it, and the server goes on', async () => {
    const { one, told } = scene({ vm_state: 'active', task_state: 'powering-off' }, true);
    one.compute.instances.set(server, 'active');
    await one.cast('stop_instance');
    await one.quiet();
    expect(told).toEqual([]);
    expect(one.nova.instance).toMatchObject({ vm_state: 'stopped', task_state: null });
  });
});
