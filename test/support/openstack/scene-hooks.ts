import { silentLog } from '../../../core/ports/log.ts';
import { systemClock } from '../../../kit/clock.ts';
import { systemRandom } from '../../../kit/random.ts';
import { createNodeHooks } from '../../../platform-adapter/openstack/hooks.ts';
import type { NodeHooks } from '../../../platform-adapter/openstack/node/nova-node.ts';
import type { Registration } from '../../../platform-adapter/openstack/node/registration.ts';
import { createNovaRpc } from '../../../platform-adapter/openstack/wire/conductor.ts';
import { releaseOf } from '../../../platform-adapter/openstack/wire/releases.ts';
import { type FlowScene, host } from './flow-scene.ts';

/** What the node does of itself with the servers of a scene, at its start and again and again. */
export function hooksOf(scene: FlowScene): NodeHooks {
  return createNodeHooks({
    nova: createNovaRpc(releaseOf('zed'), scene.nova.clients),
    host,
    service: scene.compute.service,
    flows: scene.flows,
    serve: () => Promise.resolve(),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  });
}

/** What a control plane knew of a node that registers: nothing but this. */
export function registrationOf(evacuated: readonly object[] = []): Registration {
  return { instances: [], evacuated } as unknown as Registration;
}
