import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_SOCKET_PATH } from '../paths.ts';
import type { Export } from './exports.ts';
import type { Face } from './face.ts';
import { errno } from './rpc-error.ts';

/** A vhost-blk controller. */
export interface VhostController {
  readonly name: string;
  readonly readOnly: boolean;
  readonly served: Export;
  coalescing: { readonly delay: number; readonly threshold: number };
}

/** The only core that there is; a mask with another one is refused. */
const CORES = 1n;

/** SPDK's default, as recorded. */
const IOPS_THRESHOLD = 60_000;

/**
 * Serves a bdev under a name. A second writer of one bdev is taken, as SPDK takes it.
 * @throws RpcError, code -32602: `EEXIST`, `ENODEV`, `EINVAL`, `EPERM`
 */
export async function createController(
  face: Face,
  spec: {
    readonly name: string;
    readonly bdev: string;
    readonly readOnly: boolean;
    readonly cpumask: string | undefined;
  },
): Promise<void> {
  if (!inMask(spec.cpumask)) throw errno('EINVAL', -32602);
  if (spec.name === '' || spec.name.includes('/')) throw errno('EINVAL', -32602);
  if (face.vhost.has(spec.name)) throw errno('EEXIST', -32602);
  const bdev = face.bdevs.find(spec.bdev);
  if (bdev === undefined) throw errno('ENODEV', -32602);
  if (bdev.claimedBy !== null && !spec.readOnly) throw errno('EPERM', -32602);
  const { front } = face.settings;
  const path = front.kind === 'nbd' ? null : join(front.dir, spec.name);
  if (path !== null && Buffer.byteLength(path) > MAX_SOCKET_PATH) throw errno('EINVAL', -32602);
  const served = await face.exports.add(bdev, { readOnly: spec.readOnly, path });
  face.vhost.set(spec.name, {
    name: spec.name,
    readOnly: spec.readOnly,
    served,
    coalescing: { delay: 0, threshold: IOPS_THRESHOLD },
  });
  bdev.onRemove.add(() => face.exports.orphan(served));
}

/** Ends a controller. @throws RpcError, code -32602: `ENODEV`, `EBUSY` while a host is connected */
export async function deleteController(face: Face, name: string): Promise<void> {
  const controller = face.vhost.get(name);
  if (controller === undefined) throw errno('ENODEV', -32602);
  if ((await sessions(controller)).length > 0) throw errno('EBUSY', -32602);
  face.vhost.delete(name);
  await face.exports.remove(controller.served);
}

/** A controller as `vhost_get_controllers` shows it. */
export async function describeController(face: Face, controller: VhostController): Promise<object> {
  const { front } = face.settings;
  const { name, readOnly, served, coalescing } = controller;
  return {
    ctrlr: name,
    cpumask: '0x1',
    delay_base_us: coalescing.delay,
    iops_threshold: coalescing.threshold,
    socket: front.kind === 'nbd' ? front.socket : join(front.dir, name),
    sessions: (await sessions(controller)).map((vid, id) => ({
      vid,
      id,
      name: `${name}s${vid}`,
      started: true,
      max_queues: 1,
      inflight_task_cnt: 0,
    })),
    backend_specific: {
      block: { readonly: readOnly, bdev: served.bdev?.name ?? null, transport: 'vhost_user_blk' },
    },
  };
}

async function sessions({ served }: VhostController): Promise<readonly number[]> {
  if (served.path === null) return [...served.sessions].map((each) => each.vid);
  const connected = await connections(served.path);
  return Array.from({ length: connected }, (_each, index) => index);
}

/**
 * How many are connected to a unix socket: the storage daemon does not tell, but the kernel has a line for each end that was accepted,
 * in state 03 (net/unix/af_unix.c: unix_seq_show, SS_CONNECTED).
 */
async function connections(path: string): Promise<number> {
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n');
  return lines.filter((line) => {
    const [, , , , , state, , ...rest] = line.trim().split(/\s+/);
    return state === '03' && rest.join(' ') === path;
  }).length;
}

function inMask(mask: string | undefined): boolean {
  if (mask === undefined) return true;
  if (!/^(0x)?[0-9a-f]+$/i.test(mask)) return mask === '[0]';
  const wanted = BigInt(/^0x/i.test(mask) ? mask : `0x${mask}`);
  return wanted !== 0n && (wanted & ~CORES) === 0n;
}
