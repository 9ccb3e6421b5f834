/**
 * Notes in SPDK itself. SPDK keeps nothing of ours but names, so what an attachment is for is written into the name of a bdev of one block: it is
 * there exactly as long as what it speaks of, and a daemon whose store is lost finds its own again. A note holds no secret.
 */
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionId, VolumeId } from '../../core/units.ts';

/** How a bdev came to be, and so what is to be done with it when nobody uses it any more. */
export type BackendKind = 'aio' | 'lvol' | 'bdev' | 'rbd' | 'nvmeof' | 'iscsi';

/** What an attachment is for. */
export interface Note {
  readonly functionId: FunctionId;
  readonly volumeId: VolumeId;
  readonly readOnly: boolean;
  /** Whether other writers of the volume are welcome. */
  readonly shared: boolean;
  readonly mark: OwnershipMark;
  readonly kind: BackendKind;
  /** The bdev's name; of nvmeof the controller's. */
  readonly backend: string;
}

const prefix = 'dpu-note-1.';

/** The name of the bdev that bears a note; the same for the same note. */
export function noteName(note: Note): string {
  const { functionId, volumeId, readOnly, shared, mark, kind, backend } = note;
  const fields = [functionId, volumeId, readOnly, shared, mark, kind, backend];
  return prefix + Buffer.from(JSON.stringify(fields)).toString('base64url');
}

/** The note that a bdev's name bears; undefined when it is none, or not one that this version wrote. */
export function readNote(bdevName: string): Note | undefined {
  if (!bdevName.startsWith(prefix)) return undefined;
  try {
    const text = Buffer.from(bdevName.slice(prefix.length), 'base64url').toString();
    const fields = JSON.parse(text) as readonly [
      FunctionId,
      VolumeId,
      boolean,
      boolean,
      OwnershipMark,
      BackendKind,
      string,
    ];
    if (!Array.isArray(fields) || fields.length !== 7) return undefined;
    const [functionId, volumeId, readOnly, shared, mark, kind, backend] = fields;
    return { functionId, volumeId, readOnly, shared, mark, kind, backend };
  } catch {
    return undefined; // a name that somebody else made up
  }
}
