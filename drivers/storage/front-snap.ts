import { createHash } from 'node:crypto';
import {
  bdev,
  type CallOptions,
  deleteIfExists,
  type EmulatedFunction,
  framework,
  type SnapGeneration,
  type SnapSubsystem,
  type SpdkClient,
  snap4Common,
  snapGeneration,
} from 'spdk-client';
import { DpuError } from '../../core/errors.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import type { FunctionId } from '../../core/units.ts';
import type { FrontEnd, Served } from './front-end.ts';
import { type Note, readNote } from './note.ts';

/** All our namespaces are the only one of their subsystem. */
const nsid = 1;

/**
 * SNAP-4: the function was made by snic-controller, unseen by the host, and its VUID tells which it is. A controller is made for it here, before it
 * is plugged: virtio-blk's has the bdev itself; NVMe's is made suspended, gets the namespace of a subsystem for this function alone, and is
 * resumed (NVIDIA DOCA, "SNAP-4 Service RPC Commands"). What a function serves is in its note; that it serves it, in SNAP's list of functions.
 */
export function snapFrontEnd(spdk: SpdkClient, snic: Pick<SnicController, 'listFunctions'>): FrontEnd {
  let known: Promise<SnapGeneration> | undefined;

  async function requireSnap4(options: CallOptions): Promise<void> {
    known ??= spdk.call(framework.methods, {}, options).then((methods) => {
      const generation = snapGeneration(methods);
      if (generation === undefined)
        throw new DpuError('unsupported', 'storage.front is snap, and this SPDK is no SNAP');
      return generation;
    });
    try {
      if ((await known) === 'snap-3') throw new DpuError('unsupported', 'SNAP 3 is not driven: its card needs SNAP 4');
    } catch (error) {
      known = undefined; // asked anew after an update or when it was away
      throw error;
    }
  }

  async function functions(options: CallOptions): Promise<readonly Omit<EmulatedFunction, 'vfs'>[]> {
    const all = await spdk.call(snap4Common.functions, { all: true }, options);
    return all.flatMap((each) => [each, ...(each.vfs ?? [])]);
  }

  async function vuidOf(functionId: FunctionId, options: CallOptions): Promise<string | undefined> {
    const found = (await snic.listFunctions(options.signal)).find((each) => each.id === functionId);
    return found?.vuid ?? undefined;
  }

  async function functionOf(functionId: FunctionId, options: CallOptions): Promise<Omit<EmulatedFunction, 'vfs'>> {
    const vuid = await vuidOf(functionId, options);
    if (vuid === undefined) throw new DpuError('not_found', `the card does not tell which function ${functionId} is`);
    const found = (await functions(options)).find((each) => each.vuid === vuid);
    if (!found) throw new DpuError('not_found', `SNAP has no function ${vuid}`);
    return found;
  }

  async function subsystem(nqn: string, options: CallOptions): Promise<SnapSubsystem | undefined> {
    return (await spdk.call(snap4Common.subsystems, {}, options)).find((each) => each.nqn === nqn);
  }

  async function serveNvme(note: Note, bdevName: string, vuid: string, options: CallOptions): Promise<void> {
    const nqn = nqnOf(note.functionId);
    const before = await subsystem(nqn, options);
    if (!before) await spdk.call(snap4Common.createSubsystem, { nqn, serial: serialOf(note), nn: 1, mnan: 1 }, options);
    if (!before?.namespaces?.some((each) => each.nsid === nsid)) {
      // the same nsid and uuid again after a restart: to the host it is the same disk
      const namespace = { bdev_type: 'spdk', bdev_name: bdevName, nqn, nsid, uuid: uuidOf(note.volumeId) } as const;
      await spdk.call(snap4Common.createNamespace, namespace, options);
    }
    const controller = before?.controllers?.[0];
    const ctrl_id =
      controller?.ctrl_id ??
      (await spdk.call(snap4Common.createNvmeController, { nqn, vuid, suspended: true }, options)).ctrl_id;
    if (!controller?.namespaces?.some((each) => each.nsid === nsid)) {
      await spdk.call(snap4Common.attachNamespace, { ctrl_id, nsid }, options);
    }
    if (controller?.state !== 'STARTED') await spdk.call(snap4Common.resumeNvmeController, { ctrl_id }, options);
  }

  async function stopNvme(functionId: FunctionId, options: CallOptions): Promise<void> {
    const nqn = nqnOf(functionId);
    const found = await subsystem(nqn, options);
    if (!found) return;
    for (const { ctrl_id, namespaces = [] } of found.controllers ?? []) {
      if (namespaces.length > 0) await spdk.call(snap4Common.detachNamespace, { ctrl_id, nsid }, options);
      await spdk.call(snap4Common.destroyNvmeController, { ctrl_id }, options);
    }
    for (const each of found.namespaces ?? []) {
      await spdk.call(snap4Common.destroyNamespace, { nqn, nsid: each.nsid }, options);
    }
    await deleteIfExists(
      () => spdk.call(snap4Common.destroySubsystem, { nqn }, options),
      async () => (await subsystem(nqn, options)) !== undefined,
    );
  }

  return {
    async list(options) {
      await requireSnap4(options);
      const [all, bdevs, ours] = await Promise.all([
        functions(options),
        spdk.call(bdev.list, {}, options),
        snic.listFunctions(options.signal),
      ]);
      const notes = bdevs.flatMap(({ name }) => readNote(name) ?? []);
      const serving = new Set(all.flatMap((each) => (each.ctrl_id === undefined ? [] : [each.vuid])));
      return notes.flatMap(({ functionId, readOnly, kind, backend, volumeId }): readonly Served[] => {
        const vuid = ours.find((each) => each.id === functionId)?.vuid;
        if (vuid === undefined || vuid === null || !serving.has(vuid)) return [];
        const own = bdevs.filter(({ name, aliases }) =>
          kind === 'nvmeof' ? name.startsWith(`${backend}n`) : name === backend || aliases.includes(backend),
        );
        const named = own.find(({ uuid }) => uuid?.toLowerCase() === volumeId.toLowerCase());
        const served = named ?? (own.length === 1 ? own[0] : undefined);
        return [{ functionId, bdev: served?.name ?? null, readOnly }];
      });
    },
    async serve(note, bdevName, options) {
      await requireSnap4(options);
      const { vuid, ctrl_id, emulation_type } = await functionOf(note.functionId, options);
      if (emulation_type === 'NVME') return serveNvme(note, bdevName, vuid, options);
      if (ctrl_id !== undefined) return;
      const controller = { ctrl: note.functionId, bdev: bdevName, vuid, vblk_id: serialOf(note) };
      await spdk.call(
        snap4Common.createVirtioBlkController,
        note.readOnly ? { ...controller, read_only: true } : controller,
        options,
      );
    },
    async stop(functionId, options) {
      await requireSnap4(options);
      const vuid = await vuidOf(functionId, options);
      const found = vuid === undefined ? undefined : (await functions(options)).find((each) => each.vuid === vuid);
      if (found?.emulation_type === 'NVME') return stopNvme(functionId, options);
      if (found?.ctrl_id === undefined) return;
      await spdk.call(snap4Common.destroyVirtioBlkController, { ctrl: found.ctrl_id }, options);
    },
  };
}

function nqnOf(functionId: FunctionId): string {
  return `nqn.2026-01.dpu-compute:${functionId}`;
}

/** The serial number that the guest sees: 20 bytes at most. */
function serialOf({ volumeId }: Note): string {
  return volumeId.replaceAll('-', '').slice(0, 20);
}

/** A volume's id where it is a uuid, else one that follows from it. */
function uuidOf(volumeId: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(volumeId)) return volumeId.toLowerCase();
  const hex = createHash('sha256').update(volumeId).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
