import { RemoteError } from 'oslo-messaging';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import type { Json, JsonObject } from '../../core/units.ts';
import { usageAudit } from '../../platform-adapter/openstack/node/usage-audit.ts';
import { lastAuditPeriod } from '../../platform-adapter/openstack/notifications/audit-period.ts';
import type { NotificationKind } from '../../platform-adapter/openstack/notifications/notifier.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { buildArguments, createFlowScene, nova, server } from '../support/openstack/flow-scene.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { virtualClock } from '../support/virtual-clock.ts';

describe('the last period that is over', () => {
  const of = (unit: string, now: string): readonly string[] => {
    const { beginMs, endMs } = lastAuditPeriod(unit, Date.parse(now));
    return [beginMs, endMs].map((ms) => new Date(ms).toISOString().slice(0, 16));
  };

  // as nova/utils.py: last_completed_audit_period answers
  it.each([
    ['hour', '2026-03-05T08:12:09Z', '2026-03-05T07:00', '2026-03-05T08:00'],
    ['hour@10', '2026-03-05T08:12:09Z', '2026-03-05T07:10', '2026-03-05T08:10'],
    ['hour@30', '2026-03-05T08:12:09Z', '2026-03-05T06:30', '2026-03-05T07:30'],
    ['hour', '2026-03-05T08:00:00Z', '2026-03-05T06:00', '2026-03-05T07:00'],
    ['day', '2026-03-01T08:12:09Z', '2026-02-28T00:00', '2026-03-01T00:00'],
    ['day@6', '2026-03-05T08:12:09Z', '2026-03-04T06:00', '2026-03-05T06:00'],
    ['day@10', '2026-03-05T08:12:09Z', '2026-03-03T10:00', '2026-03-04T10:00'],
    ['month', '2026-03-05T08:12:09Z', '2026-02-01T00:00', '2026-03-01T00:00'],
    ['month', '2026-01-05T08:12:09Z', '2025-12-01T00:00', '2026-01-01T00:00'],
    ['month@2', '2026-03-05T08:12:09Z', '2026-02-02T00:00', '2026-03-02T00:00'],
    ['month@15', '2026-02-05T08:12:09Z', '2025-12-15T00:00', '2026-01-15T00:00'],
    ['year', '2026-03-05T08:12:09Z', '2025-01-01T00:00', '2026-01-01T00:00'],
    ['year@2', '2026-03-05T08:12:09Z', '2025-02-01T00:00', '2026-02-01T00:00'],
    ['year@6', '2026-03-05T08:12:09Z', '2024-06-01T00:00', '2025-06-01T00:00'],
  ])('%s at %s', (unit, now, begin, end) => {
    expect(of(unit, now)).toEqual([begin, end]);
  });
});

describe('the audit of usage', () => {
  const names = ['s1', 's2', 's3'] as const;
  const begin = '2025-12-31T23:00:00Z';
  const end = '2026-01-01T00:00:00Z';

  /** A host with three servers, and nova's log of tasks. */
  function scene({ state, kinds = ['legacy', 'versioned'] }: { state?: string; kinds?: NotificationKind[] } = {}) {
    const asked: { readonly name: string; readonly args: Json; readonly kwargs: Json; readonly data: JsonObject }[] =
      [];
    const told: { readonly event: string; readonly payload: JsonObject }[] = [];
    const log: { state: string | undefined } = { state };
    let refused: string | undefined;
    const rpc = createNovaRpc(releaseOf('zed'), () => ({
      async call(method, given) {
        const args = JSON.parse(JSON.stringify(given)) as JsonObject;
        const object = args.objinst as JsonObject | undefined;
        const name = `${String(object?.['nova_object.name'] ?? args.objname)}.${String(args.objmethod)}`;
        const data = (object?.['nova_object.data'] ?? {}) as JsonObject;
        asked.push({ name, args: args.args ?? null, kwargs: args.kwargs ?? null, data });
        switch (name) {
          case 'TaskLog.get':
            return log.state === undefined ? null : nova('TaskLog', { state: log.state });
          case 'TaskLog.begin_task':
            if (log.state !== undefined) throw new RemoteError('TaskAlreadyRunning', 'nova.exception', 'twice', {});
            log.state = 'RUNNING';
            return [{}, null];
          case 'TaskLog.end_task':
            log.state = 'DONE';
            return [{}, null];
          case 'InstanceList._get_active_by_window_joined':
            return nova('InstanceList', {
              objects: names.map((uuid) => nova('Instance', { uuid, system_metadata: { image_x: '1' } })),
            });
          default:
            throw new Error(`${method}: ${name}`);
        }
      },
      async cast() {},
      async close() {},
    }));
    const clock = virtualClock();
    const task = usageAudit({
      nova: rpc,
      notifier: {
        sends: (kind) => kinds.includes(kind),
        async send(_kind, event, payload) {
          const data = (payload['nova_object.data'] ?? payload) as JsonObject;
          if (refused !== undefined && [data.uuid, data.instance_id].includes(refused)) throw new Error('too large');
          told.push({ event, payload });
          await Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
      host: 'h',
      period: 'hour',
      clock,
      random: seededRandom(1),
      log: silentLog,
    });
    const run = async (): Promise<void> => await task.run(new AbortController().signal);
    const refuse = (uuid: string): void => {
      refused = uuid;
    };
    return { asked, told, log, clock, run, refuse };
  }

  it('tells of each server that lived in the period once, in both forms, and keeps that it did', async () => {
    const { run, asked, told, clock } = scene();
    await clock.advance(1_000);
    await run();
    await run();
    expect(asked.map(({ name }) => name)).toEqual([
      'TaskLog.get',
      'InstanceList._get_active_by_window_joined',
      'TaskLog.begin_task',
      'TaskLog.end_task',
    ]);
    const [got, listed, begun, ended] = asked;
    const times = ['2025-12-31T23:00:00.000000', '2026-01-01T00:00:00.000000'];
    expect(got?.args).toEqual(['instance_usage_audit', ...times, 'h']);
    expect(listed?.args).toEqual([begin, end, null, 'h', ['system_metadata', 'info_cache', 'metadata', 'flavor']]);
    const entry = { task_name: 'instance_usage_audit', host: 'h', period_beginning: begin, period_ending: end };
    expect(begun?.data).toMatchObject({ ...entry, task_items: 3 });
    expect(ended?.data).toMatchObject({
      ...entry,
      errors: 0,
      message: 'Instance usage audit ran for host h, 3 instances in 0 seconds.',
    });
    expect(told.map(({ event }) => event)).toEqual(names.flatMap(() => ['compute.instance.exists', 'instance.exists']));
    expect(told[0]?.payload).toMatchObject({
      instance_id: 's1',
      audit_period_beginning: '2025-12-31 23:00:00',
      audit_period_ending: '2026-01-01 00:00:00',
      image_meta: { x: '1' },
    });
    expect(told[1]?.payload).toMatchObject({
      'nova_object.name': 'InstanceExistsPayload',
      'nova_object.data': {
        uuid: 's1',
        request_id: null,
        audit_period: {
          'nova_object.data': { audit_period_beginning: begin, audit_period_ending: end },
        },
      },
    });
    // and again when the next one is over
    told.length = 0;
    await clock.advance(3_600_000);
    await run();
    expect(told).toHaveLength(0); // the log of the scene is of any period
    expect(asked.at(-1)?.args).toEqual(['instance_usage_audit', times[1], '2026-01-01T01:00:00.000000', 'h']);
  });

  it('is not made twice, and made to its end where a restart has cut it', async () => {
    const done = scene({ state: 'DONE' });
    await done.clock.advance(1_000);
    await done.run();
    expect(done.told).toEqual([]);
    const cut = scene({ state: 'RUNNING', kinds: ['versioned'] });
    await cut.clock.advance(1_000);
    await cut.run();
    expect(cut.told.map(({ event }) => event)).toEqual(names.map(() => 'instance.exists'));
    expect(cut.log.state).toBe('DONE');
  });

  it('counts what could not be told of, and goes on', async () => {
    const { run, asked, told, refuse, clock } = scene({ kinds: ['legacy'] });
    refuse('s2');
    await clock.advance(1_000);
    await run();
    expect(told.map(({ payload }) => payload.instance_id)).toEqual(['s1', 's3']);
    expect(asked.at(-1)?.data).toMatchObject({ errors: 1 });
  });
});

describe('a server that becomes another', () => {
  it('is told of with what it used in this period, as it was', async () => {
    const usage: JsonObject[] = [];
    const one = createFlowScene({
      notifier: {
        sends: () => true,
        async send(_kind, event, payload) {
          if (event.endsWith('.exists')) usage.push(payload);
          await Promise.resolve();
        },
        close: () => Promise.resolve(),
      },
    });
    try {
      await one.cast('build_and_run_instance', buildArguments(one));
      await one.quiet();
      expect(usage).toEqual([]);
      Object.assign(one.nova.instance ?? {}, { task_state: 'rebuilding' });
      const before = { orig_image_ref: 'image-0', orig_sys_metadata: { image_os_distro: 'cirros', owner: 'me' } };
      await one.cast('rebuild_instance', { image_ref: 'image-1', recreate: false, ...before });
      await one.quiet();
    } finally {
      await one.close();
    }
    const period = {
      audit_period_beginning: expect.stringMatching(/^\d{4}-\d\d-01.00:00:00/) as string,
      audit_period_ending: expect.stringMatching(/^\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d/) as string,
    };
    const [legacy, versioned, ...others] = usage;
    expect(others).toEqual([]);
    const image = { image_ref_url: 'image-0', image_meta: { os_distro: 'cirros' } };
    expect(legacy).toMatchObject({ ...period, ...image, state: 'active', instance_id: server });
    expect(versioned).toMatchObject({
      'nova_object.name': 'InstanceExistsPayload',
      'nova_object.version': '2.0',
      'nova_object.data': {
        uuid: server,
        block_devices: null,
        audit_period: { 'nova_object.name': 'AuditPeriodPayload', 'nova_object.data': period },
      },
    });
    expect(versioned?.['nova_object.data']).not.toHaveProperty('fault');
  });
});
