import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bdev } from './bdevs.ts';
import type { Face } from './face.ts';
import { type ListClient, openList } from './nbd-list.ts';
import { exportName, type TargetLine } from './nvmf-target.ts';
import { addThrottle, applyLimits } from './qos.ts';
import { addNodes, removeNodes } from './qsd.ts';
import { resized } from './resize.ts';
import { errno, RPC, RpcError } from './rpc-error.ts';

/** Where a subsystem is. */
export interface TransportId {
  readonly trtype: string;
  readonly adrfam: string;
  readonly traddr: string;
  readonly trsvcid: string;
  readonly subnqn: string;
}

/** An attached controller. */
export interface NvmeController {
  readonly name: string;
  readonly trid: TransportId;
  readonly hostnqn: string;
  readonly bdevs: Map<number, RemoteBdev>;
  readonly stop: () => void;
}

interface RemoteBdev {
  readonly bdev: Bdev;
  /** Closes the connection to the target and makes it anew, which tells its size. No export may be there. */
  readonly reconnect: () => Promise<void>;
}

type RemoteNamespace = Extract<TargetLine, { kind: 'namespace' }>;

/** How long the storage daemon waits for a target that is away before I/O fails, at least. */
const RECONNECT_SECONDS = 10;
/** For `ctrlr_loss_timeout_sec` of -1. */
const FOR_EVER_SECONDS = 0x7fff_ffff;
const RETRY_MS = 500;

const ALL_IO = ['read', 'write', 'unmap', 'write_zeroes', 'flush', 'reset'] as const;
const NVME_IO = ['compare', 'compare_and_write', 'abort', 'nvme_admin', 'nvme_io'] as const;

/** This process as an NVMe host. */
const HOST_NQN = `nqn.2014-08.org.nvmexpress:uuid:${randomUUID()}`;

/**
 * Attaches a subsystem of another face and answers the names of its bdevs.
 * @throws RpcError `ENODEV` when nobody listens; -32602 when the subsystem is not there
 */
export async function attach(
  face: Face,
  spec: {
    readonly name: string;
    readonly trid: TransportId;
    readonly hostnqn: string | undefined;
    readonly lossSeconds: number | undefined;
  },
): Promise<readonly string[]> {
  const { name, trid } = spec;
  if (face.nvmf.isOwn(trid.traddr, trid.trsvcid)) throw errno('EEXIST'); // SPDK: the uuid is taken by the bdev itself
  let client: ListClient;
  let lines: readonly TargetLine[];
  try {
    client = await openList(trid.traddr, Number(trid.trsvcid));
    lines = await read(client);
  } catch (error) {
    face.log.info('nothing to attach', { address: trid.traddr, port: trid.trsvcid, error });
    throw errno('ENODEV');
  }
  const subsystem = lines.find((each) => each.kind === 'subsystem' && each.nqn === trid.subnqn);
  if (subsystem?.kind !== 'subsystem') {
    client.close();
    throw new RpcError(RPC.invalidParams, 'Invalid parameters');
  }
  let stopped = false;
  const controller: NvmeController = {
    name,
    trid,
    hostnqn: spec.hostnqn ?? HOST_NQN,
    bdevs: new Map(),
    stop: () => {
      stopped = true;
      client.close();
    },
  };
  const about = { serial: subsystem.serial, model: subsystem.model, lossSeconds: spec.lossSeconds };
  try {
    for (const each of namespaces(lines, trid.subnqn)) {
      controller.bdevs.set(each.nsid, await addRemote(face, controller, each, about));
    }
  } catch (error) {
    controller.stop();
    for (const { bdev } of controller.bdevs.values()) await face.bdevs.remove(bdev);
    throw error;
  }
  face.nvme.set(name, controller);
  const follow = async () => {
    let known = generationOf(lines);
    while (!stopped) {
      try {
        await client.changed(known);
        const now = await read(client);
        known = generationOf(now);
        await face.inTurn(async () => {
          if (!stopped) await update(face, controller, namespaces(now, trid.subnqn), about);
        });
      } catch {
        // the target is away, and may come again
        client.close();
        await sleep(RETRY_MS);
        if (!stopped) client = await openList(trid.traddr, Number(trid.trsvcid)).catch(() => client);
        if (stopped) client.close();
      }
    }
  };
  void follow();
  return [...controller.bdevs.values()].map(({ bdev }) => bdev.name);
}

/** Detaches a controller, even under a running host. */
export async function detach(face: Face, controller: NvmeController): Promise<void> {
  controller.stop();
  face.nvme.delete(controller.name);
  for (const { bdev } of controller.bdevs.values()) await face.bdevs.remove(bdev);
}

/** A controller as `bdev_nvme_get_controllers` shows it. */
export function describeNvme({ name, trid, hostnqn }: NvmeController): object {
  return { name, ctrlrs: [{ state: 'enabled', trid, cntlid: 1, host: { nqn: hostnqn, addr: '', svcid: '' } }] };
}

interface About {
  readonly serial: string;
  readonly model: string;
  readonly lossSeconds: number | undefined;
}

async function update(
  face: Face,
  controller: NvmeController,
  now: readonly RemoteNamespace[],
  about: About,
): Promise<void> {
  for (const [nsid, { bdev }] of controller.bdevs) {
    if (now.some((each) => each.nsid === nsid && each.uuid === bdev.uuid)) continue;
    controller.bdevs.delete(nsid);
    await face.bdevs.remove(bdev);
  }
  for (const each of now) {
    const known = controller.bdevs.get(each.nsid);
    if (known === undefined) controller.bdevs.set(each.nsid, await addRemote(face, controller, each, about));
    else if (known.bdev.sizeBytes !== each.sizeBytes) {
      await face.exports.without([...known.bdev.exports], known.reconnect);
      known.bdev.sizeBytes = each.sizeBytes;
      await resized(face, known.bdev);
    }
  }
}

async function addRemote(
  face: Face,
  controller: NvmeController,
  namespace: RemoteNamespace,
  about: About,
): Promise<RemoteBdev> {
  const { trid } = controller;
  const loss = about.lossSeconds === -1 ? FOR_EVER_SECONDS : (about.lossSeconds ?? 0);
  const remote = {
    driver: 'nbd',
    'node-name': face.qsd.name('node'),
    server: { type: 'inet', host: trid.traddr, port: trid.trsvcid },
    export: exportName(trid.subnqn, namespace.nsid),
    'reconnect-delay': Math.max(RECONNECT_SECONDS, loss),
    'read-only': namespace.readOnly,
  };
  await addNodes(face.qsd, [remote]);
  const filters = await addThrottle(face.qsd, remote['node-name']);
  const remove = async () => {
    await filters.remove();
    await removeNodes(face.qsd, [remote['node-name']]);
  };
  const bdev = await face.bdevs.add({
    name: `${controller.name}n${namespace.nsid}`,
    uuid: namespace.uuid,
    module: 'nvme',
    productName: 'NVMe disk',
    blockSize: namespace.blockSize,
    sizeBytes: namespace.sizeBytes,
    readOnly: namespace.readOnly,
    ioTypes: [...ALL_IO, ...NVME_IO],
    node: filters.node,
    throttle: filters.throttle,
    writeThrough: false,
    driverSpecific: () => describeNamespace(trid, namespace.nsid, about),
    config: null,
    destroy: remove,
  });
  return {
    bdev,
    reconnect: async () => {
      await remove();
      await addNodes(face.qsd, [remote]);
      await filters.add();
      await applyLimits(face.qsd, filters.throttle, bdev.limits);
    },
  };
}

function describeNamespace(trid: TransportId, nsid: number, about: About): object {
  return {
    nvme: [
      {
        trid,
        ctrlr_data: {
          cntlid: 1,
          vendor_id: '0x8086',
          model_number: about.model,
          serial_number: about.serial,
          firmware_revision: '24.01',
          subnqn: trid.subnqn,
          oacs: { security: 0, format: 0, firmware: 0, ns_manage: 0 },
          multi_ctrlr: true,
          ana_reporting: false,
        },
        vs: { nvme_version: '1.3' },
        ns_data: { id: nsid, can_share: true },
      },
    ],
    mp_policy: 'active_passive',
  };
}

async function read(client: ListClient): Promise<readonly TargetLine[]> {
  return (await client.list()).map(({ description }) => JSON.parse(description) as TargetLine);
}

function namespaces(lines: readonly TargetLine[], nqn: string): readonly RemoteNamespace[] {
  return lines.filter((each) => each.kind === 'namespace').filter((each) => each.nqn === nqn);
}

function generationOf(lines: readonly TargetLine[]): string {
  const found = lines.find((each) => each.kind === 'generation');
  return found?.kind === 'generation' ? found.generation : '';
}
