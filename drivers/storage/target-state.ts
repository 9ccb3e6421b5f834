import {
  type Bdev,
  bdev,
  type CallOptions,
  createIfAbsent,
  deleteIfExists,
  findBdev,
  malloc,
  type SpdkClient,
} from 'spdk-client';
import type { StorageAttachment } from '../../core/ports/storage-target.ts';
import { asId, type FunctionId, type VolumeId } from '../../core/units.ts';
import type { FrontEnd, Served } from './front-end.ts';
import { type Note, noteName, readNote } from './note.ts';

/** All that matters of an SPDK application, at one moment. */
export interface TargetState {
  readonly bdevs: readonly Bdev[];
  readonly notes: readonly Note[];
  readonly served: readonly Served[];
}

/** Reads it. */
export async function readTarget(spdk: SpdkClient, front: FrontEnd, options: CallOptions): Promise<TargetState> {
  const [bdevs, served] = await Promise.all([spdk.call(bdev.list, {}, options), front.list(options)]);
  const notes = bdevs.flatMap(({ name }) => readNote(name) ?? []);
  return { bdevs, notes, served };
}

/** The note of a function. */
export function noteOf(state: TargetState, functionId: FunctionId): Note | undefined {
  return state.notes.find((each) => each.functionId === functionId);
}

/** A bdev by name or alias. */
export function bdevOf(state: TargetState, name: string): Bdev | undefined {
  return state.bdevs.find((each) => each.name === name || each.aliases.includes(name));
}

/** Bytes of a bdev. */
export function sizeOf(found: Bdev): number {
  return found.block_size * found.num_blocks;
}

/** What is served, ours and others'. A controller whose bdev was taken from under it serves nothing. */
export function attachmentsOf(state: TargetState): readonly StorageAttachment[] {
  return state.served.flatMap(({ functionId, bdev: name, readOnly }): readonly StorageAttachment[] => {
    const backing = name === null ? undefined : bdevOf(state, name);
    if (!backing) return [];
    const note = noteOf(state, functionId);
    return [
      {
        functionId,
        volumeId: note?.volumeId ?? asId<VolumeId>(backing.name),
        bdev: backing.name,
        sizeBytes: sizeOf(backing),
        readOnly,
        mark: note?.mark ?? null,
      },
    ];
  });
}

/** The note is in SPDK when it resolves. */
export async function writeNote(spdk: SpdkClient, note: Note, options: CallOptions): Promise<void> {
  const name = noteName(note);
  await createIfAbsent(
    () => spdk.call(malloc.create, { name, num_blocks: 1, block_size: 512 }, options),
    () => findBdev(spdk, name, options),
  );
}

/** The note is gone when it resolves. */
export async function dropNote(spdk: SpdkClient, note: Note, options: CallOptions): Promise<void> {
  const name = noteName(note);
  await deleteIfExists(
    () => spdk.call(malloc.remove, { name }, options),
    async () => (await findBdev(spdk, name, options)) !== undefined,
  );
}
