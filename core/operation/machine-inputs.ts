/** What plans of resizing and of moving to another node are made from; journaled as `inputs.ts` has it. */

import type { Flavor } from '../records.ts';
import type { FunctionId, InstanceId } from '../units.ts';
import type { DiskInput, DoomedFunction, InstanceInput, NicInput } from './inputs.ts';

/** Input of `resize`. */
export interface ResizeMachineInput {
  readonly instance: InstanceId;
  readonly name: string;
  readonly flavor: Flavor;
  /** As it is; for the way back. */
  readonly before: Flavor;
  readonly boot: FunctionId | null;
  /** Whether it runs: then it goes off and on again. */
  readonly ran: boolean;
  readonly softTimeoutMs: number;
}

/** Input of `prepare_migration`: everything that the instance has here. */
export interface PrepareMigrationInput {
  readonly instance: InstanceId;
  readonly functions: readonly DoomedFunction[];
  readonly ran: boolean;
  readonly softTimeoutMs: number;
}

/** Input of `finish_migration`: what is still known of it here. */
export interface FinishMigrationInput {
  readonly instance: InstanceId;
  readonly functions: readonly DoomedFunction[];
}

/** Input of `abort_migration`: its devices as they were, on volumes and ports that are there. */
export interface AbortMigrationInput extends InstanceInput {
  readonly disks: readonly DiskInput[];
  readonly nics: readonly NicInput[];
}
