import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import {
  fixedIps,
  legacyPayload,
  type PayloadName,
  payloadVersions,
  versionedPayload,
} from '../../platform-adapter/openstack/notifications/payloads.ts';
import { adminContext, readContext } from '../../platform-adapter/openstack/wire/context.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import { inboundRequest, readRecording } from '../support/nova-recording.ts';
import { network } from '../support/openstack/fake-services.ts';
import { buildArguments, createFlowScene, type FlowScene, nova, server } from '../support/openstack/flow-scene.ts';
import { createTwoHosts } from '../support/openstack/two-hosts.ts';

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

  interface Sent {
    readonly event: string;
    readonly kind: string;
    readonly payload: JsonObject;
    readonly priority: string | undefined;
  }

  function scene(instance: JsonObject, fail = false): { one: FlowScene; told: string[]; sent: Sent[] } {
    const told: string[] = [];
    const sent: Sent[] = [];
    const one = createFlowScene({
      instance,
      notifier: {
        sends: () => true,
        async send(kind, event, payload, { priority }) {
          if (fail) throw new Error('the broker refuses it');
          told.push(event);
          sent.push({ kind, event, payload, priority });
          await Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    });
    scenes.push(one);
    return { one, told, sent };
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

  /** What nova tells of a method in both forms: `name` is the versioned one where it differs. */
  const inBoth = (legacy: string, name = legacy): readonly string[] => [
    `compute.instance.${legacy}`,
    `instance.${name}`,
  ];

  it.each([
    ['pause_instance', 'active', 'pausing', ['pause.start', 'pause.end']],
    ['unpause_instance', 'paused', 'unpausing', ['unpause.start', 'unpause.end']],
    ['suspend_instance', 'active', 'suspending', ['suspend.start', 'suspend.end']],
    ['resume_instance', 'suspended', 'resuming', ['resume.start', 'resume.end']],
    ['soft_delete_instance', 'active', 'soft-deleting', ['soft_delete.start', 'soft_delete.end']],
    ['shelve_offload_instance', 'shelved', 'shelving_offloading', ['shelve_offload.start', 'shelve_offload.end']],
    ['rebuild_instance', 'active', 'rebuilding', ['exists', 'rebuild.start', 'rebuild.end']],
    ['rescue_instance', 'active', 'rescuing', ['rescue.start', 'exists', 'rescue.end']],
  ] as const)('what nova tells of %s', async (method, state, task, names) => {
    const { one, told, sent } = scene({}, false);
    one.cloud.allocations.add(server);
    await one.cast('build_and_run_instance', buildArguments(one));
    await one.quiet();
    const here = state === 'shelved' ? 'stopped' : state;
    one.compute.instances.set(server, here);
    Object.assign(one.nova.instance ?? {}, { vm_state: state, task_state: task });
    told.length = 0;
    sent.length = 0;
    await one.cast(method, { image_ref: 'image-1', rescue_image_ref: 'image-1', recreate: false });
    await one.quiet();
    expect(told).toEqual(names.flatMap((name) => inBoth(name)));
    expect(sent.every(({ priority }) => priority === 'info')).toBe(true);
    const end = sent.filter(({ kind }) => kind === 'versioned').at(-1);
    const data = end?.payload['nova_object.data'] as JsonObject;
    if (method === 'rebuild_instance') {
      expect(end?.payload).toMatchObject({ 'nova_object.name': 'InstanceActionRebuildPayload' });
      expect(data).toMatchObject({ trusted_image_certificates: null, fault: null });
      const disk = {
        'nova_object.name': 'BlockDevicePayload',
        'nova_object.data': { volume_id: [...one.cloud.volumes.keys()][0] },
      };
      expect(data.block_devices).toMatchObject([disk]);
      const rebuilds = sent.filter(({ event }) => event.startsWith('compute.instance.rebuild.'));
      const legacy = rebuilds.map(({ payload }) => Object.keys(payload));
      expect(legacy.map((keys) => [keys.includes('image_name'), keys.includes('fixed_ips')])).toEqual([
        [true, false],
        [true, true],
      ]);
    }
    if (method === 'rescue_instance') expect(data).toMatchObject({ rescue_image_ref: 'image-1', block_devices: null });
  });

  it('what nova tells of a NIC that comes, goes, and can’t come', async () => {
    const { one, told, sent } = scene({});
    one.cloud.allocations.add(server);
    await one.cast('build_and_run_instance', buildArguments(one));
    await one.quiet();
    told.length = 0;
    await one.cast('attach_interface', { network_id: network });
    await one.quiet();
    const port = [...one.cloud.ports.keys()].at(-1) ?? '';
    await one.cast('detach_interface', { port_id: port });
    await one.quiet();
    const names = ['interface_attach', 'interface_detach'].flatMap((name) => [`${name}.start`, `${name}.end`]);
    expect(told).toEqual(names.map((name) => `instance.${name}`));
    expect(sent.at(-1)?.payload).toMatchObject({ 'nova_object.data': { block_devices: null } });

    told.length = 0;
    one.compute.failNext.set('attach_interface', {
      code: 'hardware',
      message: 'the host refuses it',
      retry: 'backoff',
    });
    await one.cast('attach_interface', { network_id: network });
    await one.quiet();
    expect(told).toEqual([
      'instance.interface_attach.start',
      'instance.interface_attach.error',
      'attach_interface',
      'compute.exception',
    ]);
  });

  it('what nova tells of a move, on both hosts', async () => {
    const told: string[] = [];
    const extra: JsonObject[] = [];
    const one = createTwoHosts({
      notifier: {
        sends: () => true,
        async send(_kind, event, payload) {
          told.push(event);
          if (event.includes('prep')) extra.push(payload);
          await Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    });
    try {
      await one.resize();
      expect(told.toSorted()).toEqual(
        [
          ...inBoth('exists'),
          ...inBoth('resize.prep.start', 'resize_prep.start'),
          ...inBoth('resize.prep.end', 'resize_prep.end'),
          ...inBoth('resize.start'),
          ...inBoth('resize.end'),
          ...inBoth('finish_resize.start', 'resize_finish.start'),
          ...inBoth('finish_resize.end', 'resize_finish.end'),
        ].toSorted(),
      );
      expect(extra[1]).toMatchObject({ 'nova_object.data': { new_flavor: { 'nova_object.data': { name: 'f2' } } } });
      expect(extra[2]).toMatchObject({ new_instance_type: 'f2', new_instance_type_id: 2 });
      told.length = 0;
      await one.revert();
      expect(told).toEqual([
        ...inBoth('exists'),
        ...inBoth('resize.revert.start', 'resize_revert.start'),
        ...inBoth('resize.revert.end', 'resize_revert.end'),
      ]);
      await one.resize();
      told.length = 0;
      await one.confirm();
      expect(told).toEqual([
        ...inBoth('resize.confirm.start', 'resize_confirm.start'),
        ...inBoth('resize.confirm.end', 'resize_confirm.end'),
      ]);
    } finally {
      await one.close();
    }
  });

  it('that a method failed, as nova does: its own event where it has one, and the exception', async () => {
    const { one, told, sent } = scene({ vm_state: 'active', task_state: 'pausing' });
    one.compute.instances.set(server, 'active');
    one.compute.failNext.set('pause_vm', { code: 'hardware', message: 'the machine is stuck', retry: 'backoff' });
    await one.cast('pause_instance');
    await one.quiet();
    expect(told).toEqual([...inBoth('pause.start'), 'pause_instance', 'compute.exception']);
    const [legacy, versioned] = sent.slice(-2);
    expect(legacy).toMatchObject({ priority: 'error', payload: { args: { instance: { uuid: server } } } });
    expect(versioned).toMatchObject({
      priority: 'error',
      payload: {
        'nova_object.name': 'ExceptionPayload',
        'nova_object.version': '1.1',
        'nova_object.data': {
          function_name: 'pause_instance',
          exception: 'NovaException',
          exception_message: 'the machine is stuck',
        },
      },
    });
  });

  it('that a server could not be built, without an exception', async () => {
    const { one, told, sent } = scene({});
    one.compute.failNext.set('build_and_run_instance', {
      code: 'hardware',
      message: 'no disk came up',
      retry: 'backoff',
    });
    await one.cast('build_and_run_instance', buildArguments(one));
    await one.quiet();
    expect(told).toEqual([...inBoth('create.start'), ...inBoth('create.error')]);
    const [legacy, versioned] = sent.slice(-2);
    expect(legacy).toMatchObject({ priority: 'error', payload: { exception: 'NovaException', code: 500 } });
    expect(versioned?.payload).toMatchObject({
      'nova_object.name': 'InstanceCreatePayload',
      'nova_object.data': { fault: { 'nova_object.name': 'ExceptionPayload' } },
    });
  });

  it('nobody of what it did by itself', async () => {
    const { one, told } = scene({ vm_state: 'active', task_state: null });
    one.compute.instances.set(server, 'active');
    await one.flows.accept({
      method: 'power_sync',
      args: { instance: server, state: 'stopped' },
      received: { context: adminContext({ clock: systemClock, random: systemRandom }), credentials: null },
      uniqueId: null,
    });
    await one.quiet();
    expect(told).toEqual([]);
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
