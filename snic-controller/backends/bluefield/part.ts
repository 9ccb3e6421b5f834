import type { JsonObject } from '../../../core/units.ts';
import type { Backend, BackendCapabilities, BackendFunction, BackendSpec } from '../backend.ts';

/** A function and what it takes of the card. */
export interface Seen {
  readonly state: BackendFunction;
  /** It takes one of the ports for hot-plug. */
  readonly takesPort: boolean;
}

/** What the card has of one sort of function: those of virtnet, of SNAP, or the host's VFs. */
export interface Part extends Pick<Backend, 'make' | 'plug' | 'unplug' | 'destroy' | 'change'> {
  /** What its reservations are told by. */
  readonly kind: string;
  kinds(signal?: AbortSignal): Promise<BackendCapabilities['kinds']>;
  /** Room for functions and how much is free, beyond the ports for hot-plug. */
  pool(signal?: AbortSignal): Promise<{ readonly capacity: number; readonly free: number }>;
  reserve(spec: BackendSpec, taken: readonly JsonObject[], signal?: AbortSignal): Promise<JsonObject>;
  list(signal?: AbortSignal): Promise<readonly Seen[]>;
  keyOf(reservation: JsonObject): string | null;
}

/** A part without a pool of its own. */
export const noPool = async (): Promise<{ readonly capacity: 0; readonly free: 0 }> => ({ capacity: 0, free: 0 });
