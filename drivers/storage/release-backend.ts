import {
  aio,
  type CallOptions,
  deleteIfExists,
  detachNvmeIfExists,
  findBdev,
  iscsi,
  rbd,
  type SpdkClient,
} from 'spdk-client';
import type { Note } from './note.ts';
import type { TargetState } from './target-state.ts';

/**
 * Closes what a note's volume was opened by, unless another note's is the same: volumes of one subsystem share a controller, readers of a volume
 * a bdev. What SPDK itself keeps (lvols) and what others made stays. `state` is from after the front end was stopped.
 */
export async function releaseBackend(
  spdk: SpdkClient,
  note: Note,
  state: TargetState,
  options: CallOptions,
): Promise<void> {
  const { kind, backend } = note;
  const others = state.notes.filter((each) => each.functionId !== note.functionId);
  if (others.some((each) => each.kind === kind && each.backend === backend)) return;
  if (state.served.some(({ bdev }) => bdev !== null && (bdev === backend || isNamespaceOf(bdev, note)))) return;
  const gone = async (): Promise<boolean> => (await findBdev(spdk, backend, options)) !== undefined;
  switch (kind) {
    case 'aio':
      await deleteIfExists(() => spdk.call(aio.remove, { name: backend }, options), gone);
      return;
    case 'rbd':
      await deleteIfExists(() => spdk.call(rbd.remove, { name: backend }, options), gone);
      return;
    case 'iscsi':
      await deleteIfExists(() => spdk.call(iscsi.remove, { name: backend }, options), gone);
      return;
    case 'nvmeof':
      await detachNvmeIfExists(spdk, backend, options);
      return;
    case 'lvol':
    case 'bdev':
      return;
  }
}

function isNamespaceOf(bdev: string, { kind, backend }: Note): boolean {
  return kind === 'nvmeof' && bdev.startsWith(`${backend}n`) && /^\d+$/.test(bdev.slice(backend.length + 1));
}
