/** What the daemon knows of an instance and its parts, and the changes that a step commits together with its phase. */

import type { ErrorRecord } from './errors.ts';
import type { InstanceState } from './instance-state.ts';
import type { QosSpec } from './ports/network-binder.ts';
import type { FunctionRole } from './ports/ownership.ts';
import type { BdfState, FunctionClass, FunctionType } from './ports/snic-controller.ts';
import type { FunctionId, InstanceId, Mac, OperationId } from './units.ts';

/** Sizes of an instance. */
export interface Flavor {
  readonly name: string;
  readonly vcpus: number;
  readonly memory_mib: number;
}

/** Label of a drive that tells an instance of itself: OpenStack's config drive, or NoCloud's. */
export type DriveLabel = 'config-2' | 'cidata';

/** What an instance is told of itself, besides name, metadata and keys. Secrets are ids of sealed texts. */
export interface GuestRecord {
  /** User data, sealed as JSON text. */
  readonly userData: string | null;
  /** A password that it has still to take over: `GuestPassword` sealed as JSON text. */
  readonly password: string | null;
  /** Wall time after which that is handed out no more; null: it was not handed out yet. */
  readonly passwordUntilMs: number | null;
  /** Its drive; null: it has none. */
  readonly drive: DriveLabel | null;
  /** Id of the image that its boot disk was made from; null: from none, or nobody knows. */
  readonly image: string | null;
}

/** Of an instance that nothing is known of. */
export const untold: GuestRecord = {
  userData: null,
  password: null,
  passwordUntilMs: null,
  drive: null,
  image: null,
};

/** An instance as the store has it. */
export interface InstanceRecord {
  readonly id: InstanceId;
  readonly name: string;
  readonly state: InstanceState;
  readonly flavor: Flavor;
  /** Whether it takes up the host (BM) or its share of it (VM): from the acceptance of its build until it is undone or destroyed. */
  readonly claimed: boolean;
  /** The last error that somebody has to look at. */
  readonly todo: InstanceTodo | null;
  /** Rises with every change that a platform can see. */
  readonly generation: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  /** Absent: `untold`. */
  readonly guest?: GuestRecord;
}

/** The last error of an instance, and the operation that met it. */
export interface InstanceTodo {
  readonly code: ErrorRecord['code'];
  readonly message: string;
  readonly operation: OperationId | null;
}

/**
 * How far a function is: `intended` is committed before the card is asked, so that a crash never leaves one that
 * nobody knows of.
 */
export type FunctionPhase = 'intended' | 'made' | 'plugged';

/** A function as the store has it. */
export interface FunctionRecord {
  readonly id: FunctionId;
  readonly instance: InstanceId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly role: FunctionRole;
  readonly phase: FunctionPhase;
  readonly mac: Mac | null;
  readonly bdf: string | null;
  readonly bdfState: BdfState;
  readonly representor: string | null;
  readonly vuid: string | null;
}

/** What a function serves: function - representor - port, or function - bdev - volume. */
export interface BindingRecord {
  readonly functionId: FunctionId;
  readonly instance: InstanceId;
  readonly kind: 'port' | 'volume';
  /** Id of the port or volume. */
  readonly key: string;
  /** `intended` before the peer is asked, `bound` once it is done. */
  readonly phase: 'intended' | 'bound';
  /** The port or volume was made for the instance and goes with it. */
  readonly madeForInstance: boolean;
  readonly ips: readonly string[];
  readonly boot: boolean;
  readonly readOnly: boolean;
  readonly sizeBytes: number | null;
  /** Block device that serves a volume. */
  readonly bdev: string | null;
  /** Id of the sealed connection that the request brought; null where the volume service is asked. */
  readonly connectionSecret: string | null;
  /** Limits of a port that were asked for; null: none. */
  readonly qos: QosSpec | null;
}

/** One change of the records; applied in one transaction with the journal entry that it came with. */
export type RecordChange =
  | {
      readonly type: 'instance';
      readonly id: InstanceId;
      readonly patch: Partial<
        Pick<InstanceRecord, 'state' | 'flavor' | 'claimed' | 'todo' | 'metadata' | 'sshKeys' | 'guest'>
      >;
    }
  /** Erases a sealed part of a request; one that is gone already is fine. */
  | { readonly type: 'secret-gone'; readonly id: string }
  | { readonly type: 'function'; readonly record: FunctionRecord }
  | {
      readonly type: 'function-patch';
      readonly id: FunctionId;
      readonly patch: Partial<Pick<FunctionRecord, 'phase' | 'mac' | 'bdf' | 'bdfState' | 'representor' | 'vuid'>>;
    }
  | { readonly type: 'function-gone'; readonly id: FunctionId }
  | { readonly type: 'binding'; readonly record: BindingRecord }
  | {
      readonly type: 'binding-patch';
      readonly functionId: FunctionId;
      readonly patch: Partial<Pick<BindingRecord, 'phase' | 'ips' | 'sizeBytes' | 'bdev' | 'qos'>>;
    }
  /** Erases the binding and the secrets that lived with it. */
  | { readonly type: 'binding-gone'; readonly functionId: FunctionId };
