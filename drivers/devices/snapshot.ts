import type { SnapshotInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { stepRetry } from './deadlines.ts';
import { fieldsOf } from './json-fields.ts';
import type { DeviceParts } from './parts.ts';

/**
 * The plan of `create_snapshot`: what the disk holds at one moment, in use or not, as after a loss of power. Until it is known to be whole it
 * can be taken back; the last step only says that it stays.
 */
export function snapshotPlan(parts: DeviceParts, { volumeId, snapshotId, name }: SnapshotInput): Plan {
  const take = `disk:snapshot:${volumeId}`;
  const keep = 'snapshot:keep';
  return {
    steps: [
      {
        name: take,
        after: [],
        deadlineMs: parts.deadlines.volumeMs,
        retry: stepRetry,
        async run({ signal }) {
          const { sizeBytes } = await parts.volumes.ensureSnapshot({ id: snapshotId, volumeId }, signal);
          return { output: { sizeBytes } };
        },
        async undo({ signal }) {
          await parts.volumes.deleteSnapshot(snapshotId, signal);
          return {};
        },
      },
      {
        name: keep,
        after: [take],
        deadlineMs: parts.deadlines.volumeMs,
        retry: stepRetry,
        run: async () => await Promise.resolve({}),
      },
    ],
    pivot: keep,
    result: (output) => ({
      snapshot_id: snapshotId,
      volume_id: volumeId,
      name,
      size_bytes: fieldsOf(output(take), take).count('sizeBytes'),
    }),
  };
}
