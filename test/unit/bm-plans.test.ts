import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { OperationRecord } from '../../core/operation/journal.ts';
import { checkPlan, type Plan, type Step, type StepContext } from '../../core/operation/plan.ts';
import type { RecordChange } from '../../core/records.ts';
import { asId, type Json, type JsonObject, type NodeId } from '../../core/units.ts';
import { type BmDriverOptions, createBmDriver } from '../../drivers/bm/driver.ts';

/** What else happens when the host is switched on. */
let onPower: () => unknown = () => undefined;

/** Ports that hold what was made as `kind:id` and refuse what comes too early or too late. */
function world() {
  const held = new Set<string>();
  const calls: string[] = [];
  const need = (thing: string, there: boolean): void => {
    if (held.has(thing) !== there) throw new Error(`${thing} ${there ? 'is missing' : 'is still there'}`);
  };
  const state = (id: string) => ({
    id,
    mac: 'fa:16:3e:00:00:01',
    bdf: null,
    bdfState: 'pending',
    representor: `r-${id}`,
  });
  const parts = {
    node: asId<NodeId>('node'),
    snic: {
      ensureFunction: async ({ id }: { id: string }) => {
        held.add(`function:${id}`);
        return state(id);
      },
      plugFunction: async (id: string) => {
        need(`served:${id}`, true);
        calls.push(`plug ${id}`);
        held.add(`plugged:${id}`);
        return state(id);
      },
      unplugFunction: async (id: string) => {
        calls.push(`unplug ${id}`);
        held.delete(`plugged:${id}`);
      },
      releaseFunction: async (id: string) => {
        need(`plugged:${id}`, false);
        need(`served:${id}`, false);
        held.delete(`function:${id}`);
      },
      listFunctions: async () =>
        [...held].flatMap((each) =>
          each.startsWith('plugged:') ? [{ id: each.slice(8), bdf: null, plugged: true }] : [],
        ),
    },
    binder: {
      bind: async ({ functionId }: { functionId: string }) => {
        need(`function:${functionId}`, true);
        calls.push(`serve ${functionId}`);
        held.add(`served:${functionId}`);
      },
      unbind: async (port: string) => void held.delete(`served:f-${port}`),
    },
    storage: {
      attach: async ({ functionId }: { functionId: string }) => {
        need(`function:${functionId}`, true);
        calls.push(`serve ${functionId}`);
        held.add(`served:${functionId}`);
        return { bdev: 'b', sizeBytes: 1 };
      },
      detach: async (id: string) => {
        need(`plugged:${id}`, false);
        held.delete(`served:${id}`);
      },
    },
    volumes: {
      ensureVolumeFromImage: async ({ id }: { id: string }) => {
        held.add(`volume:${id}`);
        return { id, sizeBytes: 1 };
      },
      deleteVolume: async (id: string) => {
        need(`export:${id}`, false);
        held.delete(`volume:${id}`);
      },
      connect: async ({ volumeId }: { volumeId: string }) => {
        held.add(`export:${volumeId}`);
        return { protocol: 'p', data: { secret: 'hush' } };
      },
      disconnect: async (id: string) => {
        need(`served:f-${id}`, false);
        held.delete(`export:${id}`);
      },
    },
    networks: {
      ensurePort: async ({ portId }: { portId: string }) => {
        held.add(`port:${portId}`);
        return { mac: 'fa:16:3e:00:00:01', ips: [] };
      },
      releasePort: async (id: string) => {
        need(`served:f-${id}`, false);
        held.delete(`port:${id}`);
      },
    },
    power: {
      powerOn: async () => {
        calls.push('on');
        held.add('host:on');
        onPower();
      },
      powerOff: async () => {
        calls.push('off');
        held.delete('host:on');
      },
      reset: async () => {
        if (!held.has('host:on')) throw new DpuError('bad_state', 'the host is off');
        calls.push('reset');
        onPower();
      },
      setNextBoot: async () => {},
    },
  };
  return { held, calls, driver: createBmDriver(parts as unknown as BmDriverOptions) };
}

/** Rows by `table:id`, as the changes leave them. A patch of a row that is not there is an error. */
function applyTo(rows: Set<string>, changes: readonly RecordChange[] = []): void {
  for (const change of changes) {
    if (change.type === 'function') rows.add(`function:${change.record.id}`);
    if (change.type === 'binding') rows.add(`binding:${change.record.functionId}`);
    if (change.type === 'function-gone') rows.delete(`function:${change.id}`);
    if (change.type === 'binding-gone') rows.delete(`binding:${change.functionId}`);
  }
}

function ordered(plan: Plan): Step[] {
  const done = new Set<string>();
  const order: Step[] = [];
  while (order.length < plan.steps.length) {
    for (const step of plan.steps.filter(
      (each) => !done.has(each.name) && each.after.every((name) => done.has(name)),
    )) {
      done.add(step.name);
      order.push(step);
    }
  }
  return order;
}

/** Runs the first `count` steps, each `times` times; the last one's answer is lost when `lost`. */
async function run(plan: Plan, rows: Set<string>, count: number, times: number, lost: boolean) {
  const outputs = new Map<string, Json>();
  const context: StepContext = {
    signal: new AbortController().signal,
    output: (name) => outputs.get(name) ?? null,
    secret: async () => '{"driver_volume_type":"iscsi","data":{"auth_password":"hush"}}',
    failure: () => null,
    left: () => [],
  };
  const steps = ordered(plan).slice(0, count);
  for (const [index, step] of steps.entries()) {
    for (let time = 0; time < times; time += 1) {
      applyTo(rows, step.intent);
      const result = await step.run(context);
      if (lost && index === steps.length - 1) continue;
      applyTo(rows, result.changes);
      outputs.set(step.name, result.output ?? null);
    }
  }
  return {
    outputs,
    undo: async () => {
      for (const step of steps.reverse()) applyTo(rows, (await step.undo?.(context))?.changes);
    },
  };
}

const builds = fc
  .record({
    extra: fc.array(fc.boolean(), { maxLength: 2 }),
    nics: fc.integer({ min: 0, max: 3 }),
    image: fc.boolean(),
  })
  .map(
    ({ extra, nics, image }): JsonObject => ({
      instance: 'i',
      name: 'n',
      flavor: { name: 'f', vcpus: 1, memory_mib: 1 },
      disks: [image ? 'image' : null, ...extra].map((kind, index) => ({
        volumeId: `v${index}`,
        functionId: `f-v${index}`,
        boot: index === 0,
        readOnly: false,
        sizeBytes: 1,
        fromImage: kind === 'image' ? 'img' : null,
        connectionSecret: kind === true ? 's' : null,
      })),
      nics: Array.from({ length: nics }, (_, index) => ({
        portId: `p${index}`,
        functionId: `f-p${index}`,
        subnet: 'net',
        mac: null,
        type: 'PF',
      })),
    }),
  );

const operation = (kind: string, planVersion = 1) => ({ kind, planVersion }) as OperationRecord;

it('shows nothing before all is served, the boot disk last, and starts the host behind it', async () => {
  await fc.assert(
    fc.asyncProperty(builds, fc.constantFrom(1, 2), async (input, times) => {
      const { driver, calls, held } = world();
      const plan = driver.plan(operation('build'), input);
      checkPlan(plan);
      const { outputs } = await run(plan, new Set(), plan.steps.length, times, false);
      const firstPlug = calls.findIndex((each) => each.startsWith('plug'));
      expect(calls.slice(firstPlug).some((each) => each.startsWith('serve'))).toBe(false);
      expect(calls.indexOf('off')).toBeLessThan(firstPlug);
      expect(calls.slice(calls.indexOf('plug f-v0')).every((each) => ['plug f-v0', 'on'].includes(each))).toBe(true);
      expect(held.has('host:on')).toBe(true);
      expect(JSON.stringify([...outputs])).not.toContain('hush');
    }),
    { numRuns: 40 },
  );
});

it('shows the boot disk again that a host lost with its power, before it is on', async () => {
  const [input] = fc.sample(builds, 1);
  if (input === undefined) throw new Error('no build was drawn');
  const { driver, calls, held } = world();
  const plan = driver.plan(operation('build'), input);
  const at = ordered(plan).findIndex((step) => step.name === 'host:on');
  await run(plan, new Set(), at, 1, false);
  const boot = calls.at(-1)?.replace('plug ', '') ?? ''; // the last that was shown
  held.delete(`plugged:${boot}`);
  const context = { signal: new AbortController().signal } as StepContext;
  const on = ordered(plan)[at];
  await on?.run(context);
  expect(calls.slice(-2)).toEqual([`plug ${boot}`, 'on']);
  onPower = () => held.delete(`plugged:${boot}`);
  await expect(on?.run(context)).rejects.toMatchObject({ code: 'unavailable' });
  onPower = () => undefined;
  expect(calls.at(-1)).toBe('off');
});

it('shows the boot disk again that a host lost, before it is reset; one lost in a reset takes the power away', async () => {
  const { driver, calls, held } = world();
  const plan = driver.plan(operation('reboot', 2), { instance: 'i', boot: 'f-v0', type: 'hard', softTimeoutMs: 0 });
  checkPlan(plan);
  const reset = plan.steps.find((step) => step.name === 'host:reset');
  const context = { signal: new AbortController().signal } as StepContext;
  for (const each of ['served:f-v0', 'host:on']) held.add(each);
  expect(await reset?.run(context)).toEqual({ output: { reset: true } });
  expect(calls).toEqual(['plug f-v0', 'reset']);
  onPower = () => held.delete('plugged:f-v0');
  await expect(reset?.run(context)).rejects.toMatchObject({ code: 'unavailable' });
  onPower = () => undefined;
  expect(calls.at(-1)).toBe('off');
  expect(await reset?.run(context)).toEqual({ output: { reset: false } });
  expect(calls.slice(-2)).toEqual(['plug f-v0', 'on']);
});

it('undoes a build from every step, also one whose answer was lost, to nothing', async () => {
  await fc.assert(
    fc.asyncProperty(builds, fc.boolean(), async (input, lost) => {
      const { driver, held } = world();
      const plan = driver.plan(operation('build'), input);
      for (let count = 1; count < plan.steps.length; count += 1) {
        const rows = new Set<string>();
        const { undo } = await run(plan, rows, count, 1, lost);
        for (const row of rows)
          if (row.startsWith('function:')) expect(rows).toContain(row.replace('function', 'binding'));
        await undo();
        expect([...held]).toEqual([]);
        expect([...rows]).toEqual([]);
      }
    }),
    { numRuns: 20 },
  );
});

it('destroys from any point of a build: host off first, boot disk from sight first, nothing left', async () => {
  await fc.assert(
    fc.asyncProperty(builds, fc.nat(40), async (input, some) => {
      const { driver, calls, held } = world();
      const build = driver.plan(operation('build'), input);
      const rows = new Set<string>();
      await run(build, rows, Math.min(some, build.steps.length), 1, false);
      calls.length = 0;
      const functions = [...rows]
        .filter((row) => row.startsWith('binding:'))
        .map((row) => {
          const functionId = row.slice('binding:'.length);
          const key = functionId.slice(2);
          const port = key.startsWith('p');
          const role = port ? 'nic' : key === 'v0' ? 'boot' : 'disk';
          return {
            functionId,
            key,
            role,
            kind: port ? 'port' : 'volume',
            madeForInstance: port || held.has(`volume:${key}`),
          };
        });
      const plan = driver.plan(operation('destroy'), { instance: 'i', ownsHost: true, functions });
      checkPlan(plan);
      await run(plan, rows, plan.steps.length, 2, false);
      expect(calls[0]).toBe('off');
      const unplugs = calls.filter((each) => each.startsWith('unplug'));
      if (functions.some((each) => each.role === 'boot')) expect(unplugs[0]).toBe('unplug f-v0');
      expect([...held]).toEqual([]);
      expect([...rows]).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

it('refuses a plan version that nobody knows', () => {
  const { driver } = world();
  expect(() => driver.plan(operation('build', 99), {})).toThrow(expect.objectContaining({ code: 'unsupported' }));
  expect(driver.planVersion('pause')).toBeNull();
});
