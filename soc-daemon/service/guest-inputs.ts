/** Inputs of the plans that change what an instance is told or starts from, from the store as it is when they begin. */

import { rescueFunctionId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type {
  DiskInput,
  DoomedFunction,
  PasswordInput,
  RebuildInput,
  RenewInput,
  RescueInput,
  TellChange,
  UnrescueInput,
} from '../../core/operation/inputs.ts';
import type { OperationRecord } from '../../core/operation/journal.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { GuestRecord, InstanceRecord } from '../../core/records.ts';
import type { InstanceId, Json, JsonObject } from '../../core/units.ts';
import { driveOf, guestOf } from './guest.ts';

type Rows = Pick<NodeStore, 'functions' | 'bindings' | 'getInstance'>;
type Operation = Pick<OperationRecord, 'instance' | 'request' | 'stateBefore'>;

/** Time that a host has to go off by itself before a plan that changes its boot disk takes the power away. */
const softTimeoutMs = 60_000;

/** `{"$secret": id}` of a request. */
export function secretOf(value: Json | undefined): string | null {
  const id = typeof value === 'object' && value !== null ? (value as JsonObject).$secret : null;
  return typeof id === 'string' ? id : null;
}

/** Input of `rebuild`. @throws DpuError `bad_state` without a boot disk to start from. */
export function rebuildInput(rows: Rows, { instance, request, stateBefore }: Operation): RebuildInput {
  const record = recordOf(rows, instance);
  const guest = guestOf(record);
  const root = (request.root ?? null) as unknown as DiskInput | null;
  const bound = boundBoot(rows, instance);
  const boot = root?.functionId ?? bound?.functionId;
  if (boot === undefined) throw new DpuError('bad_state', 'the instance has no boot disk');
  const next: InstanceRecord = {
    ...record,
    metadata: (request.metadata ?? record.metadata) as Readonly<Record<string, string>>,
    sshKeys: (request.ssh_keys ?? record.sshKeys) as readonly string[],
    guest: {
      ...guest,
      userData: request.userdata === undefined ? guest.userData : secretOf(request.userdata),
      password: secretOf(request.password),
      passwordUntilMs: null,
      image: root?.fromImage ?? guest.image,
    },
  };
  return {
    ...identityOf(record),
    ...changeOf(rows, record, next),
    root,
    old: root === null ? null : bound,
    rescue: stateBefore === 'rescued' ? rescueDisk(rows, instance) : null,
    boot,
    softTimeoutMs: stateBefore === 'active' || stateBefore === 'rescued' ? softTimeoutMs : 0,
  };
}

/** Input of `rescue`. */
export function rescueInput(rows: Rows, { instance, request, stateBefore }: Operation): RescueInput {
  const record = recordOf(rows, instance);
  return {
    ...identityOf(record),
    ...changeOf(rows, record, withPassword(record, secretOf(request.password))),
    disk: request.disk as unknown as DiskInput,
    boot: boundBoot(rows, instance)?.functionId ?? null,
    softTimeoutMs: stateBefore === 'active' ? softTimeoutMs : 0,
  };
}

/** Input of `unrescue`. @throws DpuError `bad_state` without a boot disk to start from. */
export function unrescueInput(rows: Rows, { instance }: Operation): UnrescueInput {
  const record = recordOf(rows, instance);
  const boot = boundBoot(rows, instance)?.functionId;
  if (boot === undefined) throw new DpuError('bad_state', 'the instance has no boot disk');
  return {
    instance,
    ...changeOf(rows, record, withPassword(record, null)),
    rescue: rescueDisk(rows, instance),
    boot,
    softTimeoutMs,
  };
}

/** Input of `reset_admin_password`. */
export function passwordInput(rows: Rows, { instance, request }: Operation): PasswordInput {
  const record = recordOf(rows, instance);
  return { instance, ...changeOf(rows, record, withPassword(record, secretOf(request.password))) };
}

/** The same instance with another password to take over. */
export function withPassword(record: InstanceRecord, password: string | null): InstanceRecord {
  return { ...record, guest: { ...guestOf(record), password, passwordUntilMs: null } };
}

function recordOf(rows: Rows, instance: InstanceId): InstanceRecord {
  const record = rows.getInstance(instance);
  if (!record) throw new DpuError('not_found', 'instance does not exist');
  return record;
}

function identityOf({ id, name, flavor }: InstanceRecord): Pick<RebuildInput, 'instance' | 'name' | 'flavor'> {
  return { instance: id, name, flavor };
}

function changeOf(rows: Rows, record: InstanceRecord, next: InstanceRecord): TellChange {
  const kept = secretsOf(guestOf(next));
  const renew = (of: InstanceRecord, erase: readonly string[]): RenewInput => ({
    guest: guestOf(of),
    metadata: of.metadata,
    sshKeys: of.sshKeys,
    erase,
  });
  return {
    renew: renew(
      next,
      secretsOf(guestOf(record)).filter((id) => !kept.includes(id)),
    ),
    before: renew(record, []),
    drive: driveOf(rows, next),
    driveBefore: driveOf(rows, record),
  };
}

function secretsOf({ userData, password }: GuestRecord): readonly string[] {
  return [userData, password].filter((id) => id !== null);
}

function boundBoot(rows: Rows, instance: InstanceId): DoomedFunction | null {
  const binding = rows.bindings(instance).find((each) => each.boot);
  return binding ? doomedDisk(binding, 'boot') : null;
}

function rescueDisk(rows: Rows, instance: InstanceId): DoomedFunction | null {
  const id = rescueFunctionId(instance);
  const binding = rows.bindings(instance).find((each) => each.functionId === id);
  return binding ? doomedDisk(binding, 'disk') : null;
}

function doomedDisk(binding: ReturnType<Rows['bindings']>[number], role: DoomedFunction['role']): DoomedFunction {
  const { functionId, kind, key, madeForInstance } = binding;
  return { functionId, role, kind, key, madeForInstance };
}

/** As the journal keeps it. */
export function journaled(input: object): JsonObject {
  return input as JsonObject;
}
