import { createHash } from 'node:crypto';
import { createIfAbsent, ensureRbdCluster, findBdev, rbd } from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Backend, ConnectionContext } from './backend.ts';
import { listOf, requireText, textOf, wrong } from './fields.ts';

/**
 * A Ceph image, as Cinder's RBD driver describes it: `name` is `pool/image`. All images of a user share one registered cluster, as long as the
 * key is the same: a connection for each runs out of threads. The key is `keyring`, or the one that the operator keeps under `secret_uuid`.
 * @throws DpuError `invalid`; `open` also where there should be a key (`auth_enabled`) and none is known.
 */
export function rbdBackend(data: JsonObject, context: ConnectionContext): Backend {
  const [pool, image, ...rest] = requireText(data, 'name').split('/');
  if (!pool || !image || rest.length > 0) throw wrong('name', 'is not pool/image');
  const hosts = (listOf(data, 'hosts') ?? []).filter((host) => typeof host === 'string');
  if (hosts.length === 0) throw wrong('hosts', 'is missing');
  const ports = (listOf(data, 'ports') ?? []).map(String);
  const user = textOf(data, 'auth_username') ?? 'admin';
  // as many hosts as ports is the rule, and not always so
  const monitors = hosts.map((host, index) => `${bracketed(host)}:${ports[index] ?? ports.at(-1) ?? '3300'}`).join(',');
  const name = `vol-${context.volumeId}${context.readOnly ? '-ro' : ''}`;
  return {
    kind: 'rbd',
    name,
    async open(spdk, options) {
      const key = await keyFor(data, context);
      // SPDK keeps the first key of a name
      const identity = createHash('sha256').update(`${user} ${monitors} ${key ?? ''}`);
      const cluster = `dpu-${identity.digest('hex').slice(0, 12)}`;
      const config = { mon_host: monitors, ...(key === undefined ? {} : { key }) };
      await ensureRbdCluster(spdk, { name: cluster, user_id: user, config_param: config }, options);
      // no read_only: SPDK v24.01 does not know it, and refuses what it does not know; the controller is read-only
      const request = { name, pool_name: pool, rbd_name: image, block_size: 512, cluster_name: cluster };
      await createIfAbsent(
        () => spdk.call(rbd.create, request, options),
        () => findBdev(spdk, name, options),
      );
      const found = await findBdev(spdk, name, options);
      if (!found) throw new DpuError('hardware', `the block device of volume ${context.volumeId} went away`);
      return found;
    },
  };
}

/** The user's key; undefined where Ceph wants none. @throws DpuError `invalid` where it wants one and there is none. */
async function keyFor(data: JsonObject, context: ConnectionContext): Promise<string | undefined> {
  const secret = textOf(data, 'secret_uuid');
  const given = textOf(data, 'keyring') ?? (secret === undefined ? undefined : await context.cephSecret(secret));
  if (given !== undefined) return keyOf(given);
  if (data.auth_enabled !== true && (secret === undefined || data.auth_enabled === false)) return undefined;
  throw wrong('secret_uuid', `names no key that this node has; storage.ceph_keys gives it one: ${secret ?? 'none'}`);
}

/** The key alone, of a keyring file's text or just the key. */
function keyOf(keyring: string): string {
  return /^\s*key\s*=\s*(\S+)/m.exec(keyring)?.[1] ?? keyring.trim();
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
