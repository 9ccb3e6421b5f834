/** A whole daemon on the simulated world, with the platform's AMQP adapter on a real broker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import { type Log, silentLog } from '../../../core/ports/log.ts';
import type { SimOptions } from '../../../drivers/sim/options.ts';
import { createSimWorld, type SimWorld } from '../../../drivers/sim/world.ts';
import { memoryWorldStore, type WorldStore } from '../../../drivers/sim/world-store.ts';
import { systemClock } from '../../../kit/clock.ts';
import { systemRandom } from '../../../kit/random.ts';
import { type AmqpSettings, createAmqpAdapter } from '../../../platform-adapter/amqp/adapter.ts';
import { type SimNode, startSimNode } from '../../support/sim-node.ts';

/** What the settings are where a configuration says nothing, but for a broker that is missed sooner. */
export const amqpDefaults: AmqpSettings = {
  exchange: 'dpu',
  topic: 'compute',
  platform_topic: 'platform',
  durable_queues: false,
  auto_delete: false,
  quorum_queues: false,
  transient_queues_ttl_s: 1800,
  heartbeat_s: 60,
  prefetch: 64,
  max_body_bytes: 1_048_576,
};

/** The node's name on the topic. */
export const hostname = 'amqp-node';

/** Volumes of the world; a name for each use. */
export const volumes = {
  boot: 'd0a40c8e-0000-4000-8000-000000000001',
  data: 'd0a40c8e-0000-4000-8000-000000000002',
} as const;

/** A world with an image and a few volumes. */
export function amqpWorld(
  options: SimOptions = {},
  store: WorldStore = memoryWorldStore(),
  nodeType: 'BM' | 'VM' = 'BM',
): SimWorld {
  return createSimWorld({
    clock: systemClock,
    random: systemRandom,
    store,
    hypervisor: nodeType === 'VM',
    options: {
      images: { demo: { size_bytes: 2 ** 30 }, centos_image_uuid: { size_bytes: 2 ** 30 } },
      volumes: {
        [volumes.boot]: { size_bytes: 2 ** 30, bootable: true },
        [volumes.data]: { size_bytes: 2 ** 31 },
      },
      ...options,
    },
  });
}

/** A life of the daemon. */
export interface AmqpNode extends SimNode {
  readonly dir: string;
}

/** How it begins. */
export interface AmqpNodeOptions {
  readonly url: string;
  readonly world: SimWorld;
  /** State directory, kept at the end; one of its own, removed then, unless told. */
  readonly dir?: string;
  readonly log?: Log;
  readonly amqp?: Partial<AmqpSettings>;
  readonly reportIntervalMs?: number;
  readonly nodeType?: 'BM' | 'VM';
  /** Wraps the use cases, to watch or to fail them. */
  readonly around?: (service: ComputeService) => ComputeService;
}

/** Starts one. The broker need not be there. */
export async function startAmqpNode(options: AmqpNodeOptions): Promise<AmqpNode> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'amqp-node-'));
  const node = await startSimNode({
    world: options.world,
    dir,
    hostname,
    nodeType: options.nodeType ?? 'BM',
    subnets: { net1: { cidr: '10.9.0.0/24', mac_prefix: 'fa:16:3e' } },
    ...(options.log ? { log: options.log } : {}),
    adapters: (service, store) => [
      createAmqpAdapter({
        service: options.around?.(service) ?? service,
        outbox: store,
        config: { ...amqpDefaults, ...options.amqp },
        reportIntervalMs: options.reportIntervalMs ?? 600_000,
        transportUrl: options.url,
        hostname,
        clock: systemClock,
        random: systemRandom,
        log: options.log ?? silentLog,
      }),
    ],
  });
  return {
    ...node,
    dir,
    async stop() {
      await node.stop();
      if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}
