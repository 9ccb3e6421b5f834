import type { Json } from '../../../core/units.ts';
import type { CallScope, NovaRpc } from './conductor.ts';
import { listObject, type Primitive } from './objects.ts';
import { versionOf } from './releases.ts';

/** Since which scheduler RPC instances are told of; what stock compute services send. */
const version = '4.2';

/** Tells all schedulers of servers that are on a host now (affinity filters); each as nova sent it, with what changed. */
export async function tellInstances(
  rpc: NovaRpc,
  scope: CallScope,
  host: string,
  instances: readonly Primitive[],
): Promise<void> {
  const { release } = rpc;
  const list = listObject('InstanceList', versionOf(release, 'InstanceList'), instances);
  await rpc.schedulerFanout(scope, 'update_instance_info', version, {
    host_name: host,
    instance_info: list as unknown as Json,
  });
}

/** Tells all schedulers that a server is no longer on a host. */
export async function tellInstanceGone(rpc: NovaRpc, scope: CallScope, host: string, uuid: string): Promise<void> {
  await rpc.schedulerFanout(scope, 'delete_instance_info', version, { host_name: host, instance_uuid: uuid });
}

/** Tells all schedulers which servers a host has; one that knows others asks for them. */
export async function syncInstances(
  rpc: NovaRpc,
  scope: CallScope,
  host: string,
  uuids: readonly string[],
): Promise<void> {
  await rpc.schedulerFanout(scope, 'sync_instance_info', version, { host_name: host, instance_uuids: uuids });
}
