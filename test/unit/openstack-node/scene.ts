import { silentLog } from '../../../core/ports/log.ts';
import {
  type NodeHooks,
  type NovaNodeParts,
  startNovaNode,
} from '../../../platform-adapter/openstack/node/nova-node.ts';
import { defaultNodeSettings, type NodeSettings } from '../../../platform-adapter/openstack/node/settings.ts';
import { createKeystone } from '../../../platform-adapter/openstack/rest/keystone.ts';
import { createPlacement } from '../../../platform-adapter/openstack/rest/placement.ts';
import { createNovaRpc } from '../../../platform-adapter/openstack/wire/conductor.ts';
import { releaseOf } from '../../../platform-adapter/openstack/wire/releases.ts';
import type { NodeStatus } from '../../../schemas/generated/node-status.ts';
import { createFakeService } from '../../support/fake-service.ts';
import type { Recording } from '../../support/nova-recording.ts';
import { type NovaReplay, replayNova } from '../../support/nova-replay.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

/** The node's uuid in the recordings. */
export const uuid = '684b17ee-7fe7-477a-805d-0f3a12cce78b';

/** A node that is as large as the recorded one. */
export const settings: NodeSettings = {
  ...defaultNodeSettings,
  host: 'fake1',
  node: 'fake1',
  uuid,
  hostIp: '127.0.0.1',
  arch: 'x86_64',
  bareMetalClass: 'gold',
  diskGb: 600_000,
};

/** What Placement has of the recorded node when it is ours, in the form of its answers. */
export function registeredBefore(nova: NovaReplay): void {
  const each = { min_unit: 1, step_size: 1, reserved: 0, allocation_ratio: 1 };
  const inventories = {
    VCPU: { ...each, total: 1000, max_unit: 1000, allocation_ratio: 16 },
    MEMORY_MB: { ...each, total: 800_000, max_unit: 800_000, allocation_ratio: 1.5, reserved: 512 },
    DISK_GB: { ...each, total: 600_000, max_unit: 600_000 },
    CUSTOM_DPU: { ...each, total: 1, max_unit: 1 },
  };
  const traits = [...settings.traits, 'CUSTOM_DPU_SIM', 'CUSTOM_DPU_NODE_VM'];
  const provider = `placement GET /resource_providers/${uuid}`;
  nova.answer(`${provider}/inventories`, { resource_provider_generation: 2, inventories });
  nova.answer(`${provider}/traits`, { resource_provider_generation: 2, traits });
}

/** A node on a recorded control plane, a clock that stands still, and what it asked of its hooks. */
export function startScene(
  recording: Recording,
  status: Partial<NodeStatus> = {},
  hooks: Partial<NodeHooks> = {},
  more: Partial<NodeSettings> = {},
  parts: Partial<NovaNodeParts> = {},
) {
  const nova = replayNova(recording);
  const custom = ['resource_classes/CUSTOM_DPU', 'resource_classes/CUSTOM_BAREMETAL_GOLD'];
  const traits = ['CUSTOM_DPU_SIM', 'CUSTOM_DPU_NODE_VM', 'CUSTOM_DPU_NODE_BM'].map((name) => `traits/${name}`);
  for (const name of [...custom, ...traits]) nova.answer(`placement PUT /${name}`, null);
  const clock = virtualClock();
  const service = createFakeService();
  const size = { node_type: 'VM', total_cpu: 1000, total_mem: 800_000, DPU_model: 'sim', ready: true } as const;
  Object.assign(service.node, size, status);
  const asked: string[] = [];
  const start = () =>
    startNovaNode({
      rpc: createNovaRpc(releaseOf('zed'), nova.clients),
      placement: createPlacement(createKeystone(nova.keystone, { http: nova.http, clock })),
      service,
      settings: { ...settings, ...more },
      hooks: {
        recover: async ({ instances }) => void asked.push(`recover ${instances.length}`),
        serve: async () => void asked.push('serve'),
        healInfoCache: async (instance) => void asked.push(`heal ${instance}`),
        syncPowerStates: async (instances) => void asked.push(`power ${instances.length}`),
        reclaim: async (instances) => void asked.push(`reclaim ${instances.length}`),
        confirmMoves: async (migrations) => void asked.push(`confirm ${migrations.length}`),
        ...hooks,
      },
      clock,
      random: seededRandom(1),
      log: silentLog,
      ...parts,
    });
  return { nova, clock, service, asked, start };
}
