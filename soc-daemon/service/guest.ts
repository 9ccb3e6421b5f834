/** What an instance is told of itself: what requests bring of it, and what plans tell. */

import { diskFunctionId, driveVolumeId } from '../../core/derived-ids.ts';
import { DpuError } from '../../core/errors.ts';
import type { DiskInput, DriveInput, NicInput, TellInput, Wipe } from '../../core/operation/inputs.ts';
import type { NodeStore, SecretPart } from '../../core/ports/node-store.ts';
import type { Random } from '../../core/ports/random.ts';
import { type DriveLabel, type GuestRecord, type InstanceRecord, untold } from '../../core/records.ts';
import { asId, type InstanceId, type PortId } from '../../core/units.ts';
import { exec } from '../../kit/exec.ts';
import type { GuestPassword } from '../../kit/guest-documents.ts';

/** What instances get where their request does not say. */
export interface GuestDefaults {
  readonly configDrive: DriveLabel | 'off';
  /** null: the instance's own image. */
  readonly rescueImage: string | null;
  /** Ways of wiping that the volume service has. */
  readonly wipes: readonly Wipe[];
  /** crypt(5) of a password; see `opensslHash`. */
  readonly hashPassword: (password: string) => Promise<string>;
}

/** Where nothing is configured. */
export const guestDefaults: GuestDefaults = {
  configDrive: 'off',
  rescueImage: null,
  wipes: ['none', 'discard', 'zero'],
  hashPassword: opensslHash,
};

const hashMs = 20_000;
/** The longest that openssl-passwd(1) takes without cutting it. */
const longestPassword = 256;

/** SHA-512 crypt by openssl-passwd(1), which is given the text by a pipe. @throws DpuError `invalid`, `unavailable` (no openssl). */
export async function opensslHash(password: string): Promise<string> {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line of a file can't hold them
  if (/[\u0000\r\n]/.test(password) || Buffer.byteLength(password) > longestPassword) {
    throw new DpuError('invalid', `a password is one line of at most ${longestPassword} bytes`, {
      field: 'new_password',
    });
  }
  const { code, stdout } = await exec('openssl', ['passwd', '-6', '-stdin'], {
    timeoutMs: hashMs,
    input: `${password}\n`,
  });
  const hash = stdout.trim();
  if (code !== 0 || !/^\$6\$[A-Za-z0-9./]+\$[A-Za-z0-9./]+$/.test(hash)) {
    throw new DpuError('internal', 'openssl makes no hash of a password');
  }
  return hash;
}

/** A part of a request that is kept sealed, with the instance. */
export interface SealedPart {
  readonly id: string;
  readonly secrets: readonly SecretPart[];
}

/** Seals the hash of a password that the guest is to take over; its text is kept nowhere. */
export async function sealPassword(
  { random, guests }: { readonly random: Random; readonly guests: GuestDefaults },
  password: string,
  metadata: Readonly<Record<string, string>>,
): Promise<SealedPart> {
  // the name that OpenStack's images carry it by
  const wanted = metadata.os_admin_user ?? '';
  const user = /^[a-z_][a-z0-9_-]{0,31}$/.test(wanted) ? wanted : 'root';
  const sealed: GuestPassword = { user, hash: await guests.hashPassword(password), token: random.uuid() };
  return keptSealed(random, JSON.stringify(sealed));
}

/** Seals a text until it is erased, or with its instance. */
export function keptSealed(random: Random, text: string): SealedPart {
  const id = random.uuid();
  return { id, secrets: [{ id, text, keepWith: 'instance' }] };
}

/** What a request brings for the guest: user data as a text, a password, or both. */
export async function sealUserdata(
  parts: { readonly random: Random; readonly guests: GuestDefaults },
  userdata: string | { readonly user_data?: string; readonly admin_pass?: string } | undefined,
  metadata: Readonly<Record<string, string>>,
): Promise<{
  readonly userData: string | null;
  readonly password: string | null;
  readonly secrets: readonly SecretPart[];
}> {
  const { user_data: text, admin_pass: password } =
    typeof userdata === 'string' ? { user_data: userdata, admin_pass: undefined } : (userdata ?? {});
  const data = text === undefined ? null : keptSealed(parts.random, JSON.stringify(text));
  const sealed = password === undefined ? null : await sealPassword(parts, password, metadata);
  return {
    userData: data?.id ?? null,
    password: sealed?.id ?? null,
    secrets: [...(data?.secrets ?? []), ...(sealed?.secrets ?? [])],
  };
}

/** The drive that a build asks for. */
export function labelOf(asked: boolean | DriveLabel | undefined, { configDrive }: GuestDefaults): DriveLabel | null {
  if (typeof asked === 'string') return asked;
  if (asked === undefined) return configDrive === 'off' ? null : configDrive;
  if (!asked) return null;
  return configDrive === 'off' ? 'config-2' : configDrive;
}

/** The disk of a new instance that tells it of itself. */
export function driveDisk(
  instance: InstanceId,
  label: DriveLabel,
  tell: Omit<TellInput, 'nics'>,
  nics: readonly NicInput[],
): DiskInput {
  const volumeId = driveVolumeId(instance);
  const told = { ...tell, nics: nics.map(({ portId }) => ({ portId, mac: null })) };
  return {
    volumeId,
    functionId: diskFunctionId(instance, volumeId),
    boot: false,
    readOnly: true,
    sizeBytes: 0,
    fromImage: null,
    connectionSecret: null,
    drive: { volumeId, label, tell: told },
  };
}

/** What is known of the guest. */
export function guestOf(record: Pick<InstanceRecord, 'guest'>): GuestRecord {
  return record.guest ?? untold;
}

/** What the drive of an instance tells when its record is like this; null: it has none. */
export function driveOf(
  rows: Pick<NodeStore, 'bindings' | 'functions'>,
  record: Pick<InstanceRecord, 'id' | 'name' | 'metadata' | 'sshKeys' | 'guest'>,
): DriveInput | null {
  const { id, name, metadata, sshKeys } = record;
  const { userData, password, drive } = guestOf(record);
  const volumeId = driveVolumeId(id);
  const bindings = rows.bindings(id);
  if (!bindings.some((each) => each.kind === 'volume' && each.key === volumeId)) return null;
  const macs = new Map(rows.functions(id).map((each) => [each.id, each.mac]));
  const nics = bindings.flatMap((each) => {
    const mac = each.kind === 'port' ? macs.get(each.functionId) : null;
    return mac ? [{ portId: asId<PortId>(each.key), mac }] : [];
  });
  return { volumeId, label: drive ?? 'config-2', tell: { name, metadata, sshKeys, userData, password, nics } };
}
