import { createHash } from 'node:crypto';
import {
  type AttachController,
  type Bdev,
  bdev,
  ensureNvmeController,
  findNvmeController,
  RpcError,
} from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import type { Backend, ConnectionContext } from './backend.ts';
import { listOf, numberOf, requireText, textOf, wrong } from './fields.ts';

/**
 * A cloud's disk stalls while its target is away and never goes: no loss time-out, a short delay, no fast failure (SPDK doc/nvme_multipath.md,
 * "Reconnect").
 */
const reconnect = { ctrlr_loss_timeout_sec: -1, reconnect_delay_sec: 2, fast_io_fail_timeout_sec: 0 } as const;

interface Portal {
  readonly address: string;
  readonly port: string;
  readonly transport: 'TCP' | 'RDMA';
}

/**
 * A namespace of an NVMe over fabrics subsystem, in os-brick's newer form (`target_nqn`, `portals`) or older one (`nqn`, `target_portal`,
 * `target_port`). Several portals are paths of one controller, which all volumes of the subsystem share. @throws DpuError `invalid`.
 */
export function nvmeofBackend(data: JsonObject, context: ConnectionContext): Backend {
  const subnqn = textOf(data, 'target_nqn') ?? requireText(data, 'nqn');
  const hostnqn = textOf(data, 'host_nqn') ?? context.hostNqn;
  const portals = portalsOf(data);
  const name = `nvme-${createHash('sha256')
    .update(`${subnqn} ${hostnqn ?? ''}`)
    .digest('hex')
    .slice(0, 12)}`;
  const paths = portals.map(({ address, port, transport }, index): AttachController => {
    const path = {
      trtype: transport,
      traddr: address,
      trsvcid: port,
      subnqn,
      adrfam: address.includes(':') ? 'IPv6' : 'IPv4',
    } as const;
    // a further path is refused with a host NQN of its own
    const host = index === 0 && hostnqn !== undefined ? { hostnqn } : {};
    return { name, ...path, ...host, multipath: 'multipath', ...reconnect };
  });
  return {
    kind: 'nvmeof',
    name,
    async open(spdk, options) {
      let problem: unknown;
      for (const path of paths) {
        try {
          await ensureNvmeController(spdk, path, options);
        } catch (error) {
          // one path is enough; SPDK does not try a path again that never worked
          if (!(error instanceof RpcError)) throw error;
          problem = error;
        }
      }
      if (!(await findNvmeController(spdk, name, options))) throw problem;
      const found = pick(await spdk.call(bdev.list, {}, options), name, data);
      if (found) return found;
      throw new DpuError('unavailable', `the target's subsystem has no namespace of volume ${context.volumeId}`);
    },
  };
}

/**
 * Which of a controller's bdevs is the volume: by the best name that the connection has for it (uuid, then NGUID, then namespace id, which may
 * change), and by that alone; never by order.
 */
function pick(all: readonly Bdev[], controller: string, data: JsonObject): Bdev | undefined {
  const own = all.filter(
    ({ name }) => name.startsWith(`${controller}n`) && /^\d+$/.test(name.slice(controller.length + 1)),
  );
  // SPDK gives a namespace without a uuid its NGUID as one
  const unique = textOf(data, 'vol_uuid') ?? textOf(data, 'volume_uuid') ?? textOf(data, 'volume_nguid');
  if (unique !== undefined) return own.find((each) => each.uuid !== undefined && hex(each.uuid) === hex(unique));
  const nsid = numberOf(data, 'ns_id');
  if (nsid !== undefined) return own.find(({ name }) => name === `${controller}n${nsid}`);
  return own.length === 1 ? own[0] : undefined;
}

function hex(uuid: string): string {
  return uuid.toLowerCase().replaceAll('-', '');
}

function portalsOf(data: JsonObject): readonly Portal[] {
  const portals = listOf(data, 'portals');
  if (portals === undefined) {
    const transport = transportOf(textOf(data, 'transport_type') ?? 'tcp');
    return [
      { address: requireText(data, 'target_portal'), port: String(numberOf(data, 'target_port') ?? 4420), transport },
    ];
  }
  if (portals.length === 0) throw wrong('portals', 'is empty');
  return portals.map((portal: Json): Portal => {
    if (!Array.isArray(portal)) throw wrong('portals', 'is not a list of lists');
    const [address, port, transport] = portal as readonly Json[];
    if (typeof address !== 'string') throw wrong('portals', 'has an address that is no text');
    return {
      address,
      port: String(port ?? 4420),
      transport: transportOf(typeof transport === 'string' ? transport : 'tcp'),
    };
  });
}

/** os-brick: `rdma` and `RoCEv2` are RDMA, all else is TCP. */
function transportOf(name: string): Portal['transport'] {
  return ['rdma', 'rocev2'].includes(name.toLowerCase()) ? 'RDMA' : 'TCP';
}
