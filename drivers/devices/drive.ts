/** The drive that tells an instance of itself. */

import { DpuError } from '../../core/errors.ts';
import type { DriveInput, TellInput } from '../../core/operation/inputs.ts';
import type { Step, StepContext } from '../../core/operation/plan.ts';
import type { Volume } from '../../core/ports/volume-service.ts';
import type { InstanceId, PortId } from '../../core/units.ts';
import { driveFiles, type GuestPassword, parsePassword, parseUserData } from '../../kit/guest-documents.ts';
import { stepRetry } from './deadlines.ts';
import { deviceStep } from './function-steps.ts';
import { fieldsOf } from './json-fields.ts';
import type { DeviceParts } from './parts.ts';

/** Names of the steps whose answers the drive tells of. */
export function portsOf({ tell }: DriveInput): readonly string[] {
  return tell.nics.filter((nic) => nic.mac === null).map((nic) => portStep(nic.portId));
}

/** Makes the drive, or writes it anew. @throws DpuError `not_found` when a secret was erased. */
export async function writeDrive(
  parts: Pick<DeviceParts, 'volumes' | 'node'>,
  instance: InstanceId,
  drive: DriveInput,
  { signal, output, secret }: Pick<StepContext, 'signal' | 'output' | 'secret'>,
): Promise<Volume> {
  const { tell, volumeId: id, label } = drive;
  const nics = tell.nics.map(({ portId, mac }) => {
    const step = portStep(portId);
    return { portId, mac: mac ?? fieldsOf(output(step), step).text('mac'), mtu: null, network: null };
  });
  const files = driveFiles({
    id: instance,
    name: tell.name,
    metadata: tell.metadata,
    sshKeys: tell.sshKeys,
    userData: tell.userData === null ? null : parseUserData(await secret(tell.userData)),
    password: await passwordOf(tell, secret),
    nics,
    dns: [],
  });
  return await parts.volumes.ensureDrive({ id, label, files, node: parts.node, instance }, signal);
}

/** `drive:write`: what the drive tells is changed, in use or not. Undo: it tells what it told before. */
export function driveStep(
  parts: DeviceParts,
  instance: InstanceId,
  drives: { readonly drive: DriveInput; readonly before: DriveInput | null },
  after: readonly string[],
): Step {
  const { drive, before } = drives;
  return {
    name: `drive:write:${drive.volumeId}`,
    after,
    deadlineMs: parts.deadlines.volumeMs,
    retry: stepRetry,
    async run(context) {
      await writeDrive(parts, instance, drive, context);
      return {};
    },
    async undo(context) {
      if (before) await writeDrive(parts, instance, before, context);
      return {};
    },
  };
}

/** The password that it is told; null: none. @throws DpuError `not_found` when the secret was erased, `internal`. */
export async function passwordOf(
  { password }: Pick<TellInput, 'password'>,
  secret: StepContext['secret'],
): Promise<GuestPassword | null> {
  if (password === null) return null;
  try {
    return parsePassword(await secret(password));
  } catch (cause) {
    if (cause instanceof DpuError) throw cause;
    throw new DpuError('internal', 'the sealed password can not be read', { cause });
  }
}

function portStep(portId: PortId): string {
  return deviceStep({ kind: 'nic', key: portId }, 'port');
}
