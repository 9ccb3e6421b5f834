import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RemoteError } from 'oslo-messaging';
import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { readBlockDevices } from '../../platform-adapter/openstack/wire/block-devices.ts';
import { createNovaRpc, type TopicClients } from '../../platform-adapter/openstack/wire/conductor.ts';
import { authorizeConsole } from '../../platform-adapter/openstack/wire/console-tokens.ts';
import { adminContext, elevated, readContext, wireContext } from '../../platform-adapter/openstack/wire/context.ts';
import { createFault, eventFinish, eventStart } from '../../platform-adapter/openstack/wire/instance-actions.ts';
import {
  destroyInstance,
  readFlavor,
  readInstance,
  saveInfoCache,
  saveInstance,
} from '../../platform-adapter/openstack/wire/instances.ts';
import { readMigration } from '../../platform-adapter/openstack/wire/migrations.ts';
import {
  faultOf,
  fromMessaging,
  isDeletingError,
  isNova,
  isTaskStateError,
  novaError,
  novaFailure,
} from '../../platform-adapter/openstack/wire/nova-errors.ts';
import { changed, novaDate, type Primitive, sparse } from '../../platform-adapter/openstack/wire/objects.ts';
import { manifest, releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import {
  readExternalEvents,
  readImageMeta,
  readRequestedNetworks,
  readRequestSpec,
} from '../../platform-adapter/openstack/wire/requests.ts';
import { callName } from '../support/nova-form.ts';
import { inboundRequest, type RecordedEvent, readRecording } from '../support/nova-recording.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const zed = releaseOf('zed');
const names = readdirSync(join(import.meta.dirname, '../fixtures/nova-wire'))
  .filter((name) => name.endsWith('.jsonl.gz'))
  .map((name) => name.replace('.jsonl.gz', ''));
const events: readonly RecordedEvent[] = names.flatMap((name) => readRecording(name).events);
const instance = 'a6218903-869c-429a-bd9b-9951c64d9bc7';

/** A conductor that answers with the same each time and keeps what it was asked. */
function conductorThat(answer: unknown) {
  const asked: { method: string; args: Readonly<Record<string, unknown>>; version: string }[] = [];
  const clients: TopicClients = (_topic, version) => ({
    async call(method, args) {
      asked.push({ method, args, version });
      if (answer instanceof Error) throw answer;
      return answer;
    },
    async cast() {},
    async close() {},
  });
  const context = adminContext({ clock: virtualClock(), random: seededRandom(1) });
  return { asked, conductor: createNovaRpc(zed, clients).conductor({ context }) };
}

describe('objects', () => {
  const build = inboundRequest(readRecording('build'), 'build_and_run_instance').args;

  it('of a build are read', () => {
    const server = readInstance(build.instance, 'instance');
    expect(server).toMatchObject({ uuid: instance, vm_state: 'building', task_state: 'scheduling', host: null });
    expect(server.flavor).toMatchObject({ name: 'm1.tiny', vcpus: 1, memory_mb: 128, extra_specs: {} });
    expect(server.info_cache?.network_info).toBe('[]');
    expect(readRequestedNetworks(build.requested_networks)).toEqual([
      expect.objectContaining({ network_id: '0674c65e-904d-4913-a271-292aa18f8244', port_id: null }),
    ]);
    expect(readBlockDevices(build.block_device_mapping, 'bdms')).toEqual([
      expect.objectContaining({ source_type: 'image', destination_type: 'local', boot_index: 0 }),
    ]);
    expect(readRequestSpec(build.request_spec, 'request_spec')).toMatchObject({ num_instances: 1, is_bfv: false });
    expect(readImageMeta(build.image)).toMatchObject({ disk_format: 'raw', size: 1_048_576, properties: {} });
  });

  it('of every recorded request are read, and are plain JSON', () => {
    const readers: Readonly<Record<string, (value: unknown) => unknown>> = {
      instance: (value) => readInstance(value, 'instance'),
      migration: (value) => readMigration(value, 'migration'),
      flavor: (value) => readFlavor(value),
      request_spec: (value) => readRequestSpec(value, 'request_spec'),
      requested_networks: (value) => readRequestedNetworks(value),
      events: (value) => readExternalEvents(value),
      bdms: (value) => (value === null ? null : readBlockDevices(value, 'bdms')),
    };
    let read = 0;
    for (const event of events) {
      if (event.kind !== 'inbound') continue;
      for (const [name, value] of Object.entries(event.request.args)) {
        const reader = readers[name];
        if (reader === undefined || value === null) continue;
        const plain = reader(value);
        expect(JSON.parse(JSON.stringify(plain))).toEqual(plain);
        read += 1;
      }
      expect(readContext(event.request.context).context.request_id).toMatch(/^req-/);
    }
    expect(read).toBeGreaterThan(100);
  });

  it('that are something else are refused by the field', () => {
    const { 'nova_object.data': data } = build.instance as unknown as Primitive;
    const flavor = data.flavor as unknown as Primitive;
    const broken = { ...flavor, 'nova_object.data': { ...flavor['nova_object.data'], vcpus: 'many' } };
    const refusal = (read: () => unknown): unknown => {
      try {
        return read();
      } catch (error) {
        return error;
      }
    };
    expect(refusal(() => readFlavor(broken))).toMatchObject({
      code: 'invalid',
      field: 'flavor.vcpus',
      message: expect.stringMatching(/ as flavor\.vcpus$/), // nova gets the text alone
    });
    expect(refusal(() => readInstance(flavor, 'instance'))).toMatchObject({ code: 'invalid', field: 'instance' });
    expect(refusal(() => readInstance(null, 'instance'))).toMatchObject({ code: 'invalid', field: 'instance' });
    expect(refusal(() => readExternalEvents([{}]))).toMatchObject({ field: 'events[0]' });
  });

  it('are saved with what changed', () => {
    expect(changed({ a: 1, b: [1] }, { a: 1, b: [2], c: null })).toEqual({ b: [2], c: null });
    expect(sparse('Service', '1.22', { id: 1 })).not.toHaveProperty(['nova_object.changes']);
    expect(novaDate(Date.UTC(2026, 10, 21, 5, 25, 47, 999))).toBe('2026-11-21T05:25:47Z');
  });
});

describe("the release's manifest", () => {
  const queries = events.flatMap((event) =>
    event.kind === 'call' && event.request.method === 'object_class_action_versions' ? [event.request.args] : [],
  );

  it.each(
    [...new Set(queries.map(({ objname }) => String(objname)))].filter((name) => Object.hasOwn(zed.objects, name)),
  )('of %s is the recorded one', (name) => {
    for (const query of queries.filter(({ objname }) => objname === name))
      expect(manifest(zed, name)).toEqual(query.object_versions);
  });
});

describe('a context', () => {
  const raw = inboundRequest(readRecording('build'), 'build_and_run_instance').context;

  it('comes apart into what may be stored and what may not', () => {
    const { context, credentials } = readContext(raw);
    expect(JSON.stringify(context)).not.toContain('gAAAA');
    expect(credentials?.token).toContain('gAAAA');
    expect(context).toMatchObject({ is_admin: true, user_name: 'admin' });
  });

  it('is sent on as it came', () => {
    const { context, credentials } = readContext(raw);
    expect(wireContext(context, credentials)).toEqual(raw);
    expect(wireContext(context)).toEqual({ ...raw, auth_token: null, service_catalog: [] });
  });

  it('of our own has the fields of a stock one', () => {
    const [first] = readRecording('startup_first').events;
    if (first?.kind !== 'call') throw new Error('the recording begins with something else');
    const own = wireContext(adminContext({ clock: virtualClock(), random: seededRandom(1) }));
    expect(Object.keys(own).sort()).toEqual(Object.keys(first.request.context).sort());
    const varying = { request_id: expect.stringMatching(/^req-/), timestamp: expect.stringMatching(/T.*\.\d{6}$/) };
    expect(own).toEqual({ ...first.request.context, ...varying });
    expect(elevated(readContext({ ...raw, is_admin: false, roles: ['member'] }).context)).toMatchObject({
      is_admin: true,
      roles: ['member', 'admin'],
    });
  });
});

describe('a save', () => {
  it('has the recorded form', async () => {
    const saved = events.filter(
      (event) => event.kind === 'call' && callName(event.request) === 'Instance.save' && event.reply?.failure === null,
    );
    expect(saved.length).toBeGreaterThan(50);
    const { asked, conductor } = conductorThat([{ updated_at: 'now', obj_what_changed: [] }, null]);
    await saveInstance(
      conductor,
      instance,
      { task_state: 'spawning' },
      { expectedTaskState: ['block_device_mapping'] },
    );
    await saveInstance(conductor, instance, { task_state: 'networking' }, { expectedTaskState: [null] });
    await saveInstance(conductor, instance, { task_state: null }, { expectedTaskState: ['spawning'], repeat: true });
    await saveInstance(conductor, instance, { host: 'h' });
    expect(asked.map(({ args }) => args.kwargs)).toEqual([
      { expected_task_state: 'block_device_mapping' },
      { expected_task_state: [null] },
      { expected_task_state: ['spawning', null] },
      {},
    ]);
    expect(asked[0]).toEqual({
      method: 'object_action',
      version: '3.0',
      args: {
        objinst: {
          'nova_object.name': 'Instance',
          'nova_object.namespace': 'nova',
          'nova_object.version': '2.7',
          'nova_object.data': { uuid: instance, task_state: 'spawning' },
          'nova_object.changes': ['task_state'],
        },
        objmethod: 'save',
        args: [],
        kwargs: { expected_task_state: 'block_device_mapping' },
      },
    });
  });

  it('of events, caches and tokens has the recorded arguments', async () => {
    const { asked, conductor } = conductorThat([{}, 'token']);
    await eventStart(conductor, instance, 'compute_stop_instance', 'fake1');
    await eventFinish(conductor, instance, 'compute_stop_instance');
    await saveInfoCache(conductor, instance, []);
    await destroyInstance(conductor, { id: 1, uuid: instance, host: 'fake1' });
    const target = { console_type: 'novnc', host: 'h', port: 1, internal_access_path: null };
    const token = { ...target, instance_uuid: instance, access_url_base: 'u' };
    expect(await authorizeConsole(conductor, token, 600)).toBe('token');
    const form = (args: Readonly<Record<string, unknown>>) => [args.args, Object.keys(args.kwargs as object).sort()];
    const recorded = (name: string, first: unknown) =>
      events.flatMap((event) =>
        event.kind === 'call' &&
        callName(event.request) === name &&
        JSON.stringify(event.request.args).includes(String(first))
          ? [event.request.args]
          : [],
      )[0] ?? {};
    const [start, finish, cache, destroy, authorize] = asked.map(({ args }) => args);
    expect(form(start ?? {})).toEqual(form(recorded('InstanceActionEvent.event_start', 'compute_stop_instance')));
    expect(finish?.kwargs).toEqual({ exc_val: null, exc_tb: null, want_result: false });
    expect(cache).toHaveProperty(['objinst', 'nova_object.changes'], ['instance_uuid', 'network_info']);
    expect(destroy).toHaveProperty(['objinst', 'nova_object.data'], { id: 1, uuid: instance, host: 'fake1' });
    expect(form(authorize ?? {})).toEqual(form(recorded('ConsoleAuthToken.authorize', 'console')));
  });
});

describe('errors', () => {
  const remote = (name: string, kwargs = {}) =>
    new RemoteError(name, 'nova.exception', `secret text of ${name}`, kwargs);

  it('of a compare-and-set tell who has the server', async () => {
    for (const [name, deleting] of [
      ['UnexpectedTaskStateError', false],
      ['UnexpectedDeletingTaskStateError', true],
    ] as const) {
      const { conductor } = conductorThat(remote(name, { expected: {}, actual: {} }));
      const error = await saveInstance(conductor, instance, { task_state: null }).catch((thrown: unknown) => thrown);
      expect(isTaskStateError(error)).toBe(true);
      expect(isDeletingError(error)).toBe(deleting);
      expect(error).toMatchObject({ code: 'conflict' });
    }
  });

  it('of nova have our code and keep their class', () => {
    const error = fromMessaging(remote('InstanceNotFound', { instance_id: instance }), 'save');
    expect(error).toMatchObject({ code: 'not_found' });
    expect(isNova(error, 'InstanceNotFound')).toBe(true);
    expect(isNova(error, 'VolumeNotFound')).toBe(false);
    expect(fromMessaging(remote('Odd'), 'save')).toMatchObject({ code: 'internal', details: { nova_class: 'Odd' } });
  });

  it('of nova’s database are told without the values of the statement', () => {
    const text = "(IntegrityError) (1452, 'a row')\n[SQL: UPDATE x SET a=%(a)s]\n[parameters: {'a': 'chap-secret'}]";
    const error = fromMessaging(new RemoteError('DBReferenceError', 'oslo_db.exception', text, {}), 'save');
    expect(error).toMatchObject({ code: 'internal', cause: { message: "(IntegrityError) (1452, 'a row')" } });
  });

  it('of ours are classes of nova to its callers, worded as nova does', () => {
    const thrown = novaFailure(novaError('VolumeBDMNotFound', { volume_id: 'v' }));
    expect(thrown).toMatchObject({
      rpcClass: 'VolumeBDMNotFound',
      rpcModule: 'nova.exception',
      message: 'No volume Block Device Mapping with id v.',
      rpcKwargs: { volume_id: 'v', code: 404 },
    });
    expect(novaFailure(new DpuError('exhausted', 'no function left'))).toMatchObject({
      rpcClass: 'ComputeResourcesUnavailable',
      rpcKwargs: { code: 400 },
    });
    expect(novaFailure(new Error('a password')).message).not.toContain('password');
  });

  it('become faults of at most 255 characters without a stack', async () => {
    expect(faultOf(new DpuError('hardware', 'x'.repeat(300)))).toEqual({ code: 500, message: 'x'.repeat(255) });
    const { asked, conductor } = conductorThat([{}, null]);
    await createFault(conductor, instance, 'h', novaError('PortBindingFailed', { port_id: 'p' }));
    const object = asked[0]?.args.objinst as Record<string, Record<string, unknown>>;
    expect(object['nova_object.data']).toMatchObject({ code: 400, instance_uuid: instance, host: 'h' });
    expect(object['nova_object.data']?.details).toBe(object['nova_object.data']?.message);
  });
});
