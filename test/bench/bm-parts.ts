/** The parts beneath a build: every step of its plan, run alone and one after the other by the same drivers, without a journal or an engine. */
import { randomUUID } from 'node:crypto';
import { diskFunctionId, nicFunctionId, requestedPortId, rootVolumeId } from '../../core/derived-ids.ts';
import type { BuildInput, DestroyInput } from '../../core/operation/inputs.ts';
import type { Plan, Step } from '../../core/operation/plan.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import { asId, type InstanceId, type Json, type Mac, type NodeId, type VolumeId } from '../../core/units.ts';
import { buildPlan } from '../../drivers/bm/build.ts';
import { defaultDeadlines } from '../../drivers/bm/deadlines.ts';
import { destroyPlan } from '../../drivers/bm/destroy.ts';
import type { BmParts } from '../../drivers/bm/parts.ts';
import { openOvsNetwork } from '../../drivers/network/open.ts';
import { systemClock } from '../../kit/clock.ts';
import { loadConfig } from '../../kit/config.ts';
import { systemRandom } from '../../kit/random.ts';
import { openPeers } from '../../soc-daemon/peers.ts';
import { NODE } from '../../tools/demo/layout.ts';

/** What a turn took. */
export interface PartTimes {
  /** Milliseconds of each step, by kind: `disk:attach`; the slowest of a kind. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Milliseconds of the longest chain of steps that wait for each other. */
  readonly chain: number;
}

/** The parts, opened as the daemon opens them; only while it does not run. */
export interface Parts {
  /** Builds an instance of the same devices, and takes it away again. */
  turn(): Promise<PartTimes>;
  close(): Promise<void>;
}

/** A port is a row of the daemon's own store: here it costs nothing. */
const networks: NetworkService = {
  check: async () => undefined,
  ensurePort: async ({ portId, subnet, instance }) => ({
    portId,
    subnet,
    mac: '02:00:00:00:be:01' as Mac,
    ips: ['10.0.0.5'],
    instance,
    madeForInstance: true,
  }),
  releasePort: async () => undefined,
  readoptPort: async () => undefined,
  listPorts: async () => [],
};

/** Opens them by the daemon's own configuration. @throws DpuError */
export async function openParts(configFile: string, nodeId: string, bootBytes: number): Promise<Parts> {
  const config = loadConfig(configFile);
  const node = asId<NodeId>(nodeId);
  const clock = systemClock;
  const log = silentLog;
  const peers = await openPeers({ config, clock, random: systemRandom, log });
  const binder = openOvsNetwork({
    network: config.network,
    subnets: config.catalogue.subnets,
    node,
    source: { ports: () => [], instance: async () => null, passwordTaken: async () => undefined },
    clock,
    log,
    restarted: () => undefined,
  });
  const { snic, storage, volumes, power } = peers;
  const parts: BmParts = {
    snic,
    binder,
    storage,
    volumes,
    networks,
    power,
    node,
    diskType: 'PF',
    deadlines: defaultDeadlines,
  };
  return {
    async turn() {
      const input = inputOf(bootBytes);
      const plan = buildPlan(parts, input, 2);
      try {
        return summary(plan, await runAlone(plan));
      } finally {
        await runAlone(destroyPlan(parts, destroyOf(input), 2));
      }
    },
    async close() {
      await binder.close();
      await peers.close();
    },
  };
}

function inputOf(bootBytes: number): BuildInput {
  const instance = asId<InstanceId>(randomUUID());
  const root = rootVolumeId(instance);
  const data = asId<VolumeId>(NODE.volume);
  const portId = requestedPortId(instance, 'build', 0);
  const disk = (volumeId: VolumeId, boot: boolean) => ({
    volumeId,
    functionId: diskFunctionId(instance, volumeId),
    boot,
    readOnly: false,
    sizeBytes: boot ? bootBytes : 0,
    fromImage: boot ? NODE.image : null,
    connectionSecret: null,
  });
  return {
    instance,
    name: 'bench',
    flavor: { name: NODE.flavor, vcpus: 1, memory_mib: 256 },
    disks: [disk(root, true), disk(data, false)],
    nics: [{ portId, functionId: nicFunctionId(instance, portId), subnet: NODE.subnet, mac: null, type: 'PF' }],
  };
}

function destroyOf({ instance, disks, nics }: BuildInput): DestroyInput {
  return {
    instance,
    ownsHost: true,
    functions: [
      ...disks.map(({ functionId, volumeId, boot, fromImage }) => ({
        functionId,
        role: boot ? ('boot' as const) : ('disk' as const),
        kind: 'volume' as const,
        key: volumeId,
        madeForInstance: fromImage !== null,
      })),
      ...nics.map(({ functionId, portId }) => ({
        functionId,
        role: 'nic' as const,
        kind: 'port' as const,
        key: portId,
        madeForInstance: true,
      })),
    ],
  };
}

/** Milliseconds of each step. Steps are run when all before them were, so no two at once. */
async function runAlone({ steps }: Plan): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  const outputs = new Map<string, Json>();
  while (times.size < steps.length) {
    const next = steps.find(({ name, after }) => !times.has(name) && after.every((each) => times.has(each)));
    if (next === undefined) throw new Error('the plan has a cycle');
    const begun = performance.now();
    const { output = null } = await next.run({
      signal: AbortSignal.timeout(next.deadlineMs),
      output: (step) => outputs.get(step) ?? null,
      secret: () => Promise.reject(new Error('the benchmark has no secrets')),
      failure: () => null,
      left: () => [],
    });
    times.set(next.name, performance.now() - begun);
    outputs.set(next.name, output);
  }
  return times;
}

/** `disk:attach:<id>` is of the kind `disk:attach`. */
export function kindOf(step: string): string {
  return step.split(':').slice(0, 2).join(':');
}

function summary({ steps }: Plan, times: ReadonlyMap<string, number>): PartTimes {
  const byName = new Map<string, Step>(steps.map((step) => [step.name, step]));
  const chainTo = (name: string): number =>
    (times.get(name) ?? 0) + Math.max(0, ...(byName.get(name)?.after ?? []).map(chainTo));
  const kinds: Record<string, number> = {};
  for (const [name, ms] of times) kinds[kindOf(name)] = Math.max(kinds[kindOf(name)] ?? 0, ms);
  return { kinds, chain: Math.max(...steps.map(({ name }) => chainTo(name))) };
}
