import type { DpuError } from '../../core/errors.ts';
import type { Batch, GroupResult } from './commands.ts';

/** What a writer tells the store. */
export interface WriterEvents {
  /** A group is on the disk. */
  readonly onGroup: (result: GroupResult) => void;
  /** Nothing more can be written; told once. */
  readonly onFailure: (error: DpuError) => void;
}

/** Where batches go. */
export interface Writer {
  /** Takes batches, in order; they are grouped with whatever else waits. */
  send(batches: readonly Batch[]): void;
  /** Commits what was sent and closes the file. */
  close(): Promise<void>;
}
