import type { EmulatedFunction, EmulatedVf, Snap3Function } from 'spdk-client';
import type { FunctionType } from '../../../core/ports/snic-controller.ts';
import type { FunctionId } from '../../../core/units.ts';
import { type HostAddress, readAddress } from './address.ts';
import type { StorageClass } from './snap.ts';

/** A function that SNAP emulates. */
export interface EmulatedDevice {
  /** SNAP's own stable name; null in SNAP 3, which has none. */
  readonly vuid: string | null;
  /** Names it where there is no VUID. */
  readonly place: string;
  readonly type: FunctionType;
  readonly class: StorageClass;
  readonly address: HostAddress;
  /** It came by hot-plug: not fixed by the firmware. */
  readonly hotplugged: boolean;
  /** What serves it; null: nothing does. */
  readonly controller: string | null;
  readonly plugged: boolean;
  /** The function that its controller or subsystem is named after. */
  readonly id: FunctionId | null;
}

/** What is known of a controller by its name. */
export type Controllers = ReadonlyMap<string, { readonly plugged: boolean | null; readonly nqn: string | null }>;

/** Reads SNAP-4's functions and their VFs. */
export function readSnap4(functions: readonly EmulatedFunction[], controllers: Controllers): readonly EmulatedDevice[] {
  return functions.flatMap((each) => [
    readOne('PF', each, controllers),
    ...(each.vfs ?? []).map((vf) => readOne('VF', vf, controllers)),
  ]);
}

function readOne(type: FunctionType, each: EmulatedFunction | EmulatedVf, controllers: Controllers): EmulatedDevice {
  const { emulation_type, pf_index, hotplugged, pci_bdf, vuid, ctrl_id } = each;
  const address = readAddress(pci_bdf);
  const controller = ctrl_id ? controllers.get(ctrl_id) : undefined;
  return {
    vuid,
    place: `${emulation_type} ${pf_index}`,
    type,
    class: classOf(emulation_type),
    address,
    hotplugged: hotplugged === true,
    controller: ctrl_id || null,
    // a function outlives its controller, which is gone with the process; the host's address is what is left then
    plugged: controller?.plugged ?? address.bdf !== null,
    id: functionNamed(ctrl_id ?? '') ?? functionNamed(controller?.nqn?.split(':').at(-1) ?? ''),
  };
}

/** Reads SNAP 3's functions. */
export function readSnap3(functions: readonly Snap3Function[]): readonly EmulatedDevice[] {
  const one = (type: FunctionType, kind: string, place: string, bdf: string): EmulatedDevice => {
    const address = readAddress(bdf);
    const plugged = address.bdf !== null;
    const none = { vuid: null, hotplugged: false, controller: null, id: null };
    return { ...none, place, type, class: classOf(kind), address, plugged };
  };
  return functions.flatMap(({ emulation_manager: manager, emulation_type: kind, pci_index, pci_bdf, ...rest }) => {
    const place = `${manager}-${kind}-${pci_index}`;
    const vfs = rest.virtual_functions ?? [];
    return [
      one('PF', kind, place, pci_bdf),
      ...vfs.map((each) => one('VF', kind, `${place}-vf${each.vf_index}`, each.vf_bdf)),
    ];
  });
}

function classOf(kind: string): StorageClass {
  return /nvme/i.test(kind) ? 'nvme' : 'virtio-blk';
}

/** The function that a name is made of, as `core/derived-ids.ts` makes them; null for any other name. */
function functionNamed(name: string): FunctionId | null {
  return /^disk-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name) ? (name as FunctionId) : null;
}
