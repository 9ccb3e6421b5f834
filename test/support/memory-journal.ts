import { DpuError } from '../../core/errors.ts';
import {
  isEnded,
  type JournalEntry,
  type OperationJournal,
  type OperationRecord,
} from '../../core/operation/journal.ts';
import type { StepRecord } from '../../core/operation/plan.ts';
import type { RecordChange } from '../../core/records.ts';
import type { OperationId } from '../../core/units.ts';

/** A journal in memory that can lose power before or after any write. */
export interface MemoryJournal extends OperationJournal {
  readonly operations: Map<OperationId, OperationRecord>;
  readonly changes: RecordChange[];
  /** Every write that got through, in order. */
  readonly log: JournalEntry[];
  /** Writes so far. */
  writes(): number;
  /** The n-th write from now (0 is the next) is the last: applied or not, it never answers. */
  losePower(afterWrites: number, applied: boolean, onLost: () => void): void;
  /** Power is back: writes of before stay unanswered. */
  powerBack(): void;
}

/** Makes an empty journal. */
export function createMemoryJournal(): MemoryJournal {
  const operations = new Map<OperationId, OperationRecord>();
  const changes: RecordChange[] = [];
  const log: JournalEntry[] = [];
  let count = 0;
  let cut: { at: number; applied: boolean; onLost: () => void } | undefined;
  let dead = false;

  function apply(entry: JournalEntry): void {
    log.push(entry);
    if (entry.type === 'records') {
      changes.push(...entry.changes);
      return;
    }
    const record = operations.get(entry.operation);
    if (!record) throw new DpuError('internal', 'no such operation in the journal');
    operations.set(entry.operation, changed(record, entry));
  }

  return {
    operations,
    changes,
    log,
    writes: () => count,
    losePower(afterWrites, applied, onLost) {
      cut = { at: count + afterWrites, applied, onLost };
    },
    powerBack() {
      dead = false;
      cut = undefined;
    },
    async write(entries) {
      if (dead) return new Promise(() => {});
      const last = cut !== undefined && count >= cut.at;
      count += 1;
      if (last && cut) {
        dead = true;
        if (cut.applied) for (const entry of entries) apply(entry);
        cut.onLost();
        return new Promise(() => {});
      }
      await Promise.resolve();
      for (const entry of entries) apply(entry);
    },
    async readSecret() {
      throw new DpuError('not_found', 'the journal in memory keeps no secrets');
    },
  };
}

function changed(record: OperationRecord, entry: JournalEntry): OperationRecord {
  switch (entry.type) {
    case 'started': {
      const steps = entry.steps.map(
        (name): StepRecord => ({
          name,
          phase: 'pending',
          attempts: 0,
          output: null,
          error: null,
          startedAtMs: null,
          endedAtMs: null,
        }),
      );
      return { ...record, state: 'running', input: entry.input, steps };
    }
    case 'step':
      return {
        ...record,
        steps: record.steps.map((step) =>
          step.name === entry.step
            ? {
                ...step,
                phase: entry.phase,
                attempts: entry.attempts,
                output: entry.output ?? step.output,
                error: entry.error ?? null,
              }
            : step,
        ),
      };
    case 'state':
      if (isEnded(record.state)) throw new DpuError('internal', 'an ended operation changed its state');
      return { ...record, state: entry.state, error: entry.error ?? null, result: entry.result ?? null };
    case 'cancel-requested':
      return { ...record, cancelRequested: true };
    case 'records':
      return record;
  }
}
