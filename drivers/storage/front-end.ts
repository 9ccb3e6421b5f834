import type { CallOptions } from 'spdk-client';
import type { FunctionId } from '../../core/units.ts';
import type { Note } from './note.ts';

/** A function that is served. */
export interface Served {
  readonly functionId: FunctionId;
  /** null: it was taken away under the host, which gets I/O errors. */
  readonly bdev: string | null;
  readonly readOnly: boolean;
}

/** How bdevs are shown to the host's functions: one for each kind of target. Mutators are ensures. */
export interface FrontEnd {
  list(options: CallOptions): Promise<readonly Served[]>;
  /** @throws InUseError, ConflictError and others of spdk-client. */
  serve(note: Note, bdevName: string, options: CallOptions): Promise<void>;
  /** One that is not there is fine. @throws InUseError while the host uses it, where the target can tell. */
  stop(functionId: FunctionId, options: CallOptions): Promise<void>;
}
