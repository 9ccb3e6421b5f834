import type { CallContext } from 'oslo-messaging';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { register } from '../../platform-adapter/openstack/node/registration.ts';
import { computeEndpoints } from '../../platform-adapter/openstack/rpc/server.ts';
import type { FlowRecord } from '../../platform-adapter/openstack/store.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { adminContext } from '../../platform-adapter/openstack/wire/context.ts';
import { saveInstance } from '../../platform-adapter/openstack/wire/instances.ts';
import { saveMigration } from '../../platform-adapter/openstack/wire/migrations.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import { isNewer, manifest, type ReleaseName, releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { nova } from '../support/openstack/flow-scene.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const uuid = 'bbbbbbbb-0000-4000-8000-000000000001';

/** A conductor of a release, what it was asked, and what it answers by method (or by object and method). */
function conductorOf(name: ReleaseName, answers: Readonly<Record<string, unknown>>) {
  const asked: { readonly method: string; readonly args: Readonly<Record<string, unknown>> }[] = [];
  const rpc = createNovaRpc(releaseOf(name), () => ({
    async call(method, args) {
      asked.push({ method, args });
      const answer = answers[String(args.objmethod ?? method)];
      if (answer instanceof Error) throw answer;
      return answer;
    },
    async cast() {},
    async close() {},
  }));
  const context = adminContext({ clock: virtualClock(), random: seededRandom(1) });
  return { asked, rpc, conductor: rpc.conductor({ context }) };
}

describe('releases', () => {
  it.each([
    ['zed', 64, 61, '6.1', '2.7'],
    ['antelope', 66, 61, '6.2', '2.7'],
    ['bobcat', 66, 66, '6.2', '2.8'],
    ['caracal', 67, 66, '6.3', '2.8'],
  ] as const)('%s is service version %i', (name, version, oldest, compute, instance) => {
    const release = releaseOf(name);
    expect(release).toMatchObject({ name, serviceVersion: version, oldestServiceVersion: oldest, rpc: { compute } });
    expect(manifest(release, 'InstanceList')).toMatchObject({ InstanceList: '2.6', Instance: instance, Flavor: '1.2' });
  });

  it('order versions by major and minor alone', () => {
    expect([isNewer('2.8', '2.7'), isNewer('2.10', '2.9'), isNewer('3.0', '2.9')]).toEqual([true, true, true]);
    expect([isNewer('2.7', '2.7'), isNewer('2.7.1', '2.7'), isNewer('1.9', '2.0')]).toEqual([false, false, false]);
  });
});

describe('a control plane that is older than the release', () => {
  /** Registers with one whose services have this version; answers how it ended, and which kinds of services were asked for. */
  async function registering(name: ReleaseName, version: number) {
    const { rpc, asked } = conductorOf(name, { get_minimum_version: version });
    const parts = { rpc, host: 'h', node: 'n', clock: virtualClock(), random: seededRandom(1), log: silentLog };
    const error: unknown = await register(parts, new AbortController().signal).catch((caught: unknown) => caught);
    const kinds = asked.filter(({ args }) => args.objmethod === 'get_minimum_version').map(({ args }) => args.args);
    return { error, kinds, sent: asked.map(({ method, args }) => args.objmethod ?? method) };
  }

  it('is not registered with, and is sent none of its objects', async () => {
    const { error, sent } = await registering('bobcat', 64);
    expect(error).toMatchObject({ code: 'unsupported', details: { conductor: 64, ours: 66 } });
    expect(error).toMatchObject({ field: 'platform.openstack.release' });
    expect(sent).toEqual(['ping', 'get_minimum_version']);
  });

  it('is none where its services are as new, and not looked for by the oldest release', async () => {
    const { kinds, sent } = await registering('caracal', 67);
    expect(kinds).toEqual([['nova-conductor'], ['nova-compute']]);
    expect(sent).toContain('get_by_host');
    expect((await registering('zed', 64)).kinds).toEqual([['nova-compute']]);
  });
});

describe('the id of a node’s record', () => {
  const node = nova('ComputeNode', {
    id: 17,
    uuid,
    hypervisor_type: 'QEMU',
    hypervisor_version: 1,
    vcpus: 1,
    memory_mb: 1,
    local_gb: 1,
    vcpus_used: 0,
    memory_mb_used: 0,
    local_gb_used: 0,
  });
  const saved = (asked: readonly { readonly args: Readonly<Record<string, unknown>> }[]) =>
    asked.flatMap(({ args }) =>
      args.objinst === undefined ? [] : [(args.objinst as unknown as Primitive)['nova_object.data']],
    );

  it('is said with its name where the release asks for it', async () => {
    const { conductor, asked } = conductorOf('bobcat', { save: [{}, null], get_by_host_and_nodename: node });
    await saveInstance(conductor, uuid, { host: 'h', node: 'n' });
    await saveInstance(conductor, uuid, { host: null, node: null });
    await saveInstance(conductor, uuid, { task_state: null });
    await saveMigration(conductor, 1, { dest_compute: 'h', dest_node: 'n', status: 'done' });
    expect(saved(asked)).toEqual([
      { uuid, host: 'h', node: 'n', compute_id: 17 },
      { uuid, host: null, node: null, compute_id: null },
      { uuid, task_state: null },
      { id: 1, dest_compute: 'h', dest_node: 'n', status: 'done', dest_compute_id: 17 },
    ]);
  });

  it('is not said before', async () => {
    const { conductor, asked } = conductorOf('antelope', { save: [{}, null] });
    await saveInstance(conductor, uuid, { host: 'h', node: 'n' });
    await saveMigration(conductor, 1, { dest_compute: 'h', dest_node: 'n' });
    expect(saved(asked)).toEqual([
      { uuid, host: 'h', node: 'n' },
      { id: 1, dest_compute: 'h', dest_node: 'n' },
    ]);
  });
});

describe('a request with objects of a later release', () => {
  const later = (version: string) => nova('Instance', { uuid, compute_id: 1 }, version);
  const ours = nova('Instance', { uuid }, '2.7');

  /** What a request's flow is given, and what the conductor was asked for. */
  async function receive(args: Readonly<Record<string, unknown>>, answer: unknown, controlPlane = 68) {
    const { rpc, asked } = conductorOf('zed', { object_backport_versions: answer, get_minimum_version: controlPlane });
    const accepted: unknown[] = [];
    const [endpoint] = computeEndpoints({
      flows: {
        async accept(cast) {
          accepted.push(cast.args);
          return { id: 'flow' } as unknown as FlowRecord;
        },
        settled: async () => {},
      },
      casts: ['stop_instance'],
      calls: { get_diagnostics: async (given) => given },
      release: releaseOf('zed'),
      nova: rpc,
      log: silentLog,
    });
    const call = {
      kind: 'cast',
      context: { request_id: 'req-1' },
      uniqueId: 'u1',
      signal: new AbortController().signal,
      ack: () => {},
    } as unknown as CallContext;
    await endpoint?.methods.stop_instance?.(args, call);
    expect(await endpoint?.methods.get_diagnostics?.(args, call)).toEqual(accepted[0]);
    return { given: accepted[0], asked };
  }

  it('has them brought back by nova-conductor, with the versions that we know', async () => {
    const bdms = [nova('BlockDeviceMapping', { id: 1 }, '1.21')];
    const { given, asked } = await receive({ instance: later('2.8'), bdms, clean: true }, ours);
    expect(given).toEqual({ instance: ours, bdms, clean: true });
    expect(asked.find(({ method }) => method === 'object_backport_versions')).toEqual({
      method: 'object_backport_versions',
      args: { objinst: later('2.8'), object_versions: manifest(releaseOf('zed'), 'Instance') },
    });
    expect((await receive({ instances: [later('2.9'), ours] }, ours)).given).toEqual({ instances: [ours, ours] });
  });

  it('is taken as it is where it has none', async () => {
    const args = {
      instance: nova('Instance', { uuid }, '2.6'),
      other: later('2.7.1'),
      stranger: nova('Wonder', {}, '9.0'),
    };
    const { given, asked } = await receive(args, new Error('asked in vain'));
    expect(given).toEqual(args);
    expect(asked).toEqual([]);
  });

  it('asks no conductor for what that one does not know either', async () => {
    const backports = async (version: string, controlPlane: number) => {
      const { asked, given } = await receive({ instance: later(version) }, ours, controlPlane);
      const count = asked.filter(({ method }) => method === 'object_backport_versions').length;
      return [count > 0, JSON.stringify(given) === JSON.stringify({ instance: ours })];
    };
    expect(await backports('2.8', 66)).toEqual([true, true]);
    expect(await backports('2.8', 65)).toEqual([true, true]);
    expect(await backports('2.99', 66)).toEqual([false, false]); // read as it is
    expect(await backports('2.8', 64)).toEqual([false, false]);
    expect(await backports('2.99', 0)).toEqual([true, true]);
    await expect(receive({ instance: later('99.0') }, ours, 64)).rejects.toMatchObject({
      rpcClass: 'IncompatibleObjectVersion',
      rpcModule: 'oslo_versionedobjects.exception',
      message: 'Version 99.0 of Instance is not supported, supported version is 2.7',
      rpcKwargs: { objname: 'Instance', objver: '99.0', supported: '2.7' },
    });
    // nobody knows what a later control plane than those of the table knows
    expect((await receive({ instance: later('99.0') }, ours, 68)).given).toEqual({ instance: ours });
  });

  it('is read as it is where they have more fields only, and refused where they are others', async () => {
    expect((await receive({ instance: later('2.8') }, new Error('away'))).given).toEqual({ instance: later('2.8') });
    await expect(receive({ instance: later('3.0') }, new Error('away'))).rejects.toMatchObject({
      rpcModule: 'nova.exception',
    });
  });
});
