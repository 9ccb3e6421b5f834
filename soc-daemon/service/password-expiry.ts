import { toDpuError } from '../../core/errors.ts';
import type { KeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { InstanceRecord } from '../../core/records.ts';
import type { NodeId } from '../../core/units.ts';
import { driveFiles, parseUserData } from '../../kit/guest-documents.ts';
import { driveOf, guestOf } from './guest.ts';
import { withPassword } from './guest-inputs.ts';
import { patienceMs, within } from './within.ts';

/** How long a password is handed out once a start has handed it out, in milliseconds. */
export const passwordLivesMs = 3_600_000;

/** What passwords expire with. */
export interface ExpiryParts {
  readonly store: NodeStore;
  readonly volumes: Pick<VolumeService, 'ensureDrive'>;
  readonly node: NodeId;
  readonly gate: KeyedLock;
  readonly clock: Clock;
  readonly log: Log;
}

/** Takes back the passwords that were handed out long enough: from drives, and from the store. What can't be done is tried again the next time. */
export async function expirePasswords(parts: ExpiryParts, signal: AbortSignal): Promise<void> {
  const { store, clock, log, gate } = parts;
  for (const { id } of store.liveInstances().filter((each) => isDue(each, clock.wallMs()))) {
    try {
      const leave = await gate.acquire(id, signal);
      try {
        await expire(parts, id, signal);
      } finally {
        leave();
      }
    } catch (error) {
      if (signal.aborted) return;
      log.warn('a password could not be taken back', {
        instance: id,
        error: toDpuError(error, 'writing the drive failed'),
      });
    }
  }
}

function isDue(record: InstanceRecord, nowMs: number): boolean {
  const { password, passwordUntilMs } = guestOf(record);
  return password !== null && passwordUntilMs !== null && passwordUntilMs <= nowMs;
}

async function expire(parts: ExpiryParts, id: InstanceRecord['id'], signal: AbortSignal): Promise<void> {
  const { store, clock } = parts;
  const record = store.getInstance(id);
  if (!record || !isDue(record, clock.wallMs())) return;
  if (store.unendedOperations().some((operation) => operation.instance === id)) return;
  const { password } = guestOf(record);
  const next = withPassword(record, null);
  await rewriteDrive(parts, next, signal);
  await store.change([
    { type: 'instance', id, patch: { guest: guestOf(next) } },
    ...(password === null ? [] : [{ type: 'secret-gone', id: password } as const]),
  ]);
}

async function rewriteDrive(parts: ExpiryParts, record: InstanceRecord, signal: AbortSignal): Promise<void> {
  const { store, volumes, node, clock } = parts;
  const drive = driveOf(store, record);
  if (!drive) return;
  const { tell, label, volumeId } = drive;
  const files = driveFiles({
    id: record.id,
    name: tell.name,
    metadata: tell.metadata,
    sshKeys: tell.sshKeys,
    userData: tell.userData === null ? null : parseUserData(await store.readSecret(tell.userData)),
    password: null,
    nics: tell.nics.flatMap(({ portId, mac }) => (mac === null ? [] : [{ portId, mac, mtu: null, network: null }])),
    dns: [],
  });
  const spec = { id: volumeId, label, files, node, instance: record.id };
  await within(clock, patienceMs.mend, (until) => volumes.ensureDrive(spec, until), signal);
}
