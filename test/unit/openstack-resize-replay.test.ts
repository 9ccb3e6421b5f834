/** A recorded resize or migration, told to our flows message by message: what they say of it is what the stock services said. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import type { JsonObject } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { createExternalEvents } from '../../platform-adapter/openstack/flows/external-events.ts';
import { createFlowService } from '../../platform-adapter/openstack/flows/service.ts';
import { flowTable } from '../../platform-adapter/openstack/flows/table.ts';
import { openFlowStore } from '../../platform-adapter/openstack/store.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { readContext } from '../../platform-adapter/openstack/wire/context.ts';
import type { Primitive } from '../../platform-adapter/openstack/wire/objects.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { callName, type Said, saidIn } from '../support/nova-form.ts';
import { type RecordedEvent, type Recording, readRecording } from '../support/nova-recording.ts';
import { type NovaReplay, replayNova } from '../support/nova-replay.ts';
import { createFakeCompute } from '../support/openstack/fake-compute.ts';
import { createFakeServices } from '../support/openstack/fake-services.ts';

type Inbound = Extract<RecordedEvent, { kind: 'inbound' }>;

/** Fields of a server that other services act by. */
const told = ['host', 'node', 'task_state', 'vm_state', 'instance_type_id', 'memory_mb', 'vcpus', 'root_gb'] as const;

/** What matters of what was said, in order: states, the migration's record, casts with what they bring, and events. */
function essence(said: readonly Said[]): readonly string[] {
  return said.flatMap((each) => {
    if (each.kind !== 'message') return [];
    const name = callName(each);
    if (each.to !== 'nova/conductor') return [`${each.to} ${each.method} ${Object.keys(each.args).sort().join(' ')}`];
    if (each.args.objname === 'InstanceActionEvent') return [`${name} ${(each.args.args as string[])[1]}`];
    if (name === 'Migration.save') return [`migration ${JSON.stringify(Object.entries(changesOf(each)).sort())}`];
    if (name !== 'Instance.save') return [];
    const changes = changesOf(each);
    const set = told.filter((field) => field in changes && changes[field] !== 'resize_reverting');
    return set.length === 0 ? [] : [`server ${set.map((field) => `${field}=${String(changes[field])}`).join(' ')}`];
  });
}

function changesOf(message: Extract<Said, { kind: 'message' }>): JsonObject {
  const object = message.args.objinst as unknown as Primitive;
  const data = object['nova_object.data'];
  return Object.fromEntries((object['nova_object.changes'] ?? []).map((name) => [name, data[name] ?? null]));
}

/** Lines of one side that the other has not, as often as it has them. */
function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others];
  return lines.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function hostFlows(host: string, dir: string, nova: NovaReplay) {
  const { services, placement } = createFakeServices();
  const compute = createFakeCompute();
  const file = join(dir, `${host}.db`);
  const store = openFlowStore({ file, key: Buffer.alloc(32, 1), clock: systemClock, durability: 'off' });
  const flows = createFlowService({
    store,
    table: flowTable,
    maxConcurrent: 4,
    flows: {
      nova: createNovaRpc(releaseOf('zed'), nova.clients),
      services,
      asUser: () => services,
      placement,
      compute: compute.service,
      settings: {
        host,
        node: host,
        nodeType: 'VM',
        vifPluggingTimeoutMs: 0,
        vifPluggingIsFatal: true,
        volumeType: null,
        availabilityZone: null,
        connector: { host, ip: '192.168.0.1', multipath: false, platform: 'x86_64', osType: 'linux' },
      },
      events: createExternalEvents(systemClock),
      resourcesChanged: () => {},
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    },
    onFatal: (error) => {
      throw error;
    },
  });
  return { store, flows };
}

/** Tells our flows all that was asked of the recorded services, each host its own. */
async function play(
  recording: Recording,
): Promise<{ readonly said: readonly Said[]; readonly ends: readonly string[] }> {
  const nova = replayNova(recording);
  for (const name of ['BlockDeviceMapping.save', 'InstanceInfoCache.save', 'Instance.save', 'Migration.save'])
    nova.answer(name, [{}, null]);
  nova.answer('InstanceInfoCache.get_by_instance_uuid', null);
  const dir = mkdtempSync(join(tmpdir(), 'dpu-replay-'));
  const hosts = new Map<string, ReturnType<typeof hostFlows>>();
  const ends: string[] = [];
  const asked = recording.events.filter(
    (each): each is Inbound => each.kind === 'inbound' && each.queue.startsWith('compute.'),
  );
  try {
    for (const { queue, request } of asked) {
      if (request.args.migration === undefined) continue;
      const host = queue.slice('compute.'.length);
      const { flows, store } = hosts.get(host) ?? hostFlows(host, dir, nova);
      hosts.set(host, { flows, store });
      // the record is what was sent with the request, but for what the request before it has set
      nova.answer('Instance.get_by_uuid', request.args.instance);
      nova.answer('Migration.get_by_id', request.args.migration);
      const { id } = await flows.accept({
        method: request.method,
        args: request.args,
        received: readContext(request.context),
        uniqueId: request.uniqueId,
      });
      await flows.settled(id);
      const end = store.get(id);
      ends.push(`${request.method} ${end?.error ? `${end.state}: ${end.error.message}` : end?.state}`);
    }
    return { said: nova.said, ends };
  } finally {
    for (const { flows, store } of hosts.values()) {
      await flows.stop(0);
      await store.close();
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

const resize = ['prep_resize', 'resize_instance', 'finish_resize'] as const;
const succeeded = (...methods: readonly string[]): readonly string[] => methods.map((each) => `${each} succeeded`);

/** What only one side says, on purpose. */
const meant = {
  migrate_cold: { stock: [], ours: [] },
  // a server that was resized on its host is there still, and the schedulers are not told otherwise
  resize_confirm: { stock: ['scheduler_fanout/ delete_instance_info host_name instance_uuid'], ours: [] },
  // the schedulers are told of the server that is back, at once
  resize_revert: { stock: [], ours: ['scheduler_fanout/ update_instance_info host_name instance_info'] },
} as const;

describe('our flows say of', () => {
  it.each(Object.keys(meant) as (keyof typeof meant)[])('%s what the stock services said', async (scenario) => {
    const recording = readRecording(scenario);
    const isRevert = scenario === 'resize_revert';
    const { said, ends } = await play(recording);
    expect(ends).toEqual(
      succeeded(...resize, ...(isRevert ? ['revert_resize', 'finish_revert_resize'] : ['confirm_resize'])),
    );
    const [stock, ours] = [essence(saidIn(recording)), essence(said)];
    expect({ stock: without(stock, ours), ours: without(ours, stock) }).toEqual(meant[scenario]);
    const states = (lines: readonly string[]) => lines.filter((line) => /^(server|migration) /.test(line));
    expect(states(ours)).toEqual(states(stock));
  });
});

describe('the comparison tells', () => {
  it('a state or a cast too few', () => {
    const all = essence(saidIn(readRecording('migrate_cold')));
    expect(without(all, all)).toEqual([]);
    expect(all.filter((line) => /^(server|migration) /.test(line)).length).toBeGreaterThan(8);
    expect(all.filter((line) => line.startsWith('nova/compute.'))).toHaveLength(2);
    expect(without(all, all.slice(1))).toHaveLength(1);
  });
});
