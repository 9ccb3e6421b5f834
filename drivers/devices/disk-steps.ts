/**
 * Steps of a disk: function - volume (only from an image, or a drive) - connect (only through the volume service) - attach.
 * The function is there before its volume is made and until it is deleted: a volume made for an instance whose card
 * carries no function of it is a loss that somebody must look at, never a build or destroy that was cut short.
 * The binding's row is there from the first of them until its undo, so that a destroy knows of all that may exist.
 */

import { DpuError } from '../../core/errors.ts';
import { diskMark } from '../../core/marks.ts';
import type { DiskInput, InstanceInput, Wipe } from '../../core/operation/inputs.ts';
import type { Step, StepContext } from '../../core/operation/plan.ts';
import type { FunctionSpec } from '../../core/ports/snic-controller.ts';
import type { VolumeConnection } from '../../core/ports/storage-target.ts';
import type { Volume } from '../../core/ports/volume-service.ts';
import type { RecordChange } from '../../core/records.ts';
import { asId, type InstanceId, type Json, type VolumeId } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import { portsOf, writeDrive } from './drive.ts';
import { type Device, deviceStep, intendedFunction, madeFunction, releaseStep } from './function-steps.ts';
import { isJsonObject } from './json-fields.ts';
import type { DeviceParts, DeviceSteps } from './parts.ts';

/** A disk as a device of the card. */
export function diskDevice(disk: DiskInput): Device {
  return { kind: 'disk', key: disk.volumeId, functionId: disk.functionId };
}

/** The steps that get a volume served to its function, unplugged. */
export function makeDisk(parts: DeviceParts, to: InstanceInput, disk: DiskInput): DeviceSteps {
  const steps: Step[] = [];
  const add = (
    make: (parts: DeviceParts, to: InstanceInput, disk: DiskInput, after: readonly string[]) => Step,
  ): void => {
    steps.push(
      make(
        parts,
        to,
        disk,
        steps.slice(-1).map((each) => each.name),
      ),
    );
  };
  add(functionStep);
  if (isMade(disk)) add(volumeStep);
  if (disk.connectionSecret === null) add(connectStep);
  add(attachStep);
  return { steps: withBinding(steps, to.instance, disk), ready: deviceStep(diskDevice(disk), 'attach') };
}

/**
 * The steps behind a disk's unplug: its volume is no more served, then its export, volume and function are given back. The
 * binding's row goes last: as long as anything may be there, a destroy finds it by that row.
 */
export function takeDownDisk(
  parts: DeviceParts,
  instance: InstanceId,
  device: Device,
  options: { readonly deleteVolume: boolean; readonly wipe?: Wipe },
): readonly Step[] {
  const volume = asId<VolumeId>(device.key);
  const detach = deviceStep(device, 'detach');
  const disconnect = deviceStep(device, 'disconnect');
  const remove = deviceStep(device, 'delete');
  const steps: Step[] = [
    {
      name: detach,
      after: [deviceStep(device, 'unplug')],
      deadlineMs: parts.deadlines.attachMs,
      retry: stepRetry,
      async run({ signal }) {
        await parts.storage.detach(device.functionId, signal);
        return { changes: [unbound(device)] };
      },
    },
    {
      name: disconnect,
      after: [detach],
      deadlineMs: parts.deadlines.connectMs,
      retry: stepRetry,
      async run({ signal }) {
        await parts.volumes.disconnect(volume, instance, signal);
        return {};
      },
    },
  ];
  if (options.deleteVolume) {
    steps.push({
      name: remove,
      after: [disconnect],
      deadlineMs: parts.deadlines.volumeMs,
      retry: stepRetry,
      async run({ signal }) {
        await parts.volumes.deleteVolume(volume, signal, options.wipe);
        return {};
      },
    });
  }
  const release = releaseStep(parts, device, [options.deleteVolume ? remove : disconnect]);
  const gone: RecordChange = { type: 'binding-gone', functionId: device.functionId };
  return [
    ...steps,
    {
      ...release,
      async run(context) {
        const { changes = [] } = await release.run(context);
        return { changes: [...changes, gone] };
      },
    },
  ];
}

/** Whether its volume is made for the instance, and goes with it. */
function isMade(disk: DiskInput): boolean {
  return disk.fromImage !== null || disk.drive !== undefined;
}

/** Adds the binding's row to the first step's intent, and its end to that step's undo. */
export function withBinding(steps: readonly Step[], instance: InstanceId, disk: DiskInput): readonly Step[] {
  const [first, ...rest] = steps;
  if (!first) return steps;
  const intended: RecordChange = {
    type: 'binding',
    record: {
      functionId: disk.functionId,
      instance,
      kind: 'volume',
      key: disk.volumeId,
      phase: 'intended',
      madeForInstance: isMade(disk),
      ips: [],
      boot: disk.boot,
      readOnly: disk.readOnly,
      sizeBytes: disk.sizeBytes > 0 ? disk.sizeBytes : null,
      bdev: null,
      connectionSecret: disk.connectionSecret,
      qos: null,
    },
  };
  const undo = async (context: StepContext) => {
    const undone = await first.undo?.(context);
    return { changes: [...(undone?.changes ?? []), { type: 'binding-gone', functionId: disk.functionId } as const] };
  };
  return [{ ...first, intent: [intended, ...(first.intent ?? [])], undo }, ...rest];
}

/** Makes the volume, of an image or as a drive. Undo: deletes it. */
export function volumeStep(parts: DeviceParts, to: InstanceInput, disk: DiskInput, after: readonly string[]): Step {
  const { volumeId: id, sizeBytes, fromImage, drive } = disk;
  return {
    name: deviceStep(diskDevice(disk), 'volume'),
    after: [...after, ...(drive ? portsOf(drive) : [])],
    deadlineMs: parts.deadlines.volumeMs,
    retry: stepRetry,
    async run(context) {
      if (drive) return { changes: [sized(disk, await writeDrive(parts, to.instance, drive, context))] };
      if (fromImage === null) throw new DpuError('internal', `volume ${id} has no image`);
      const spec = { id, image: fromImage, sizeBytes, node: parts.node, instance: to.instance };
      return { changes: [sized(disk, await parts.volumes.ensureVolumeFromImage(spec, context.signal))] };
    },
    async undo({ signal }) {
      await parts.volumes.deleteVolume(id, signal);
      return {};
    },
  };
}

function sized({ functionId }: DiskInput, { sizeBytes }: Volume): RecordChange {
  return { type: 'binding-patch', functionId, patch: { sizeBytes } };
}

/** Gets the function. Undo: gives it back. */
export function functionStep(parts: DeviceParts, to: InstanceInput, disk: DiskInput, after: readonly string[]): Step {
  const mark = diskMark(parts.node, to, { ...disk, madeForInstance: isMade(disk) });
  const spec: FunctionSpec = {
    id: disk.functionId,
    type: parts.diskType,
    class: 'virtio-blk',
    mac: null,
    features: [],
    mark,
  };
  return {
    name: deviceStep(diskDevice(disk), 'function'),
    after,
    deadlineMs: parts.deadlines.functionMs,
    retry: stepRetry,
    intent: [intendedFunction(to.instance, spec)],
    async run({ signal }) {
      return { changes: [madeFunction(await parts.snic.ensureFunction(spec, signal))] };
    },
    async undo({ signal }) {
      await parts.snic.releaseFunction(disk.functionId, signal);
      return { changes: [{ type: 'function-gone', id: disk.functionId }] };
    },
  };
}

/** Exports the volume. Its answer is not kept: a connection may hold secrets, and the journal must not. */
export function connectStep(parts: DeviceParts, to: InstanceInput, disk: DiskInput, after: readonly string[]): Step {
  return {
    name: deviceStep(diskDevice(disk), 'connect'),
    after,
    deadlineMs: parts.deadlines.connectMs,
    retry: stepRetry,
    async run({ signal }) {
      await connect(parts, to, disk, signal);
      return {};
    },
    async undo({ signal }) {
      await parts.volumes.disconnect(disk.volumeId, to.instance, signal);
      return {};
    },
  };
}

/** Has the volume served to the function. Undo: no more. */
export function attachStep(parts: DeviceParts, to: InstanceInput, disk: DiskInput, after: readonly string[]): Step {
  const device = diskDevice(disk);
  const { functionId, volumeId, readOnly, connectionSecret } = disk;
  return {
    name: deviceStep(device, 'attach'),
    after,
    deadlineMs: parts.deadlines.attachMs,
    retry: stepRetry,
    async run(context) {
      const connection =
        connectionSecret === null
          ? await connect(parts, to, disk, context.signal)
          : parseConnection(await context.secret(connectionSecret), volumeId);
      const mark = diskMark(parts.node, to, { ...disk, madeForInstance: isMade(disk) });
      const spec = { functionId, volumeId, connection, readOnly, mark };
      const { bdev, sizeBytes } = await parts.storage.attach(spec, context.signal);
      return {
        output: { bdev, sizeBytes },
        changes: [{ type: 'binding-patch', functionId, patch: { phase: 'bound', bdev, sizeBytes } }],
      };
    },
    async undo({ signal }) {
      await parts.storage.detach(functionId, signal);
      return { changes: [unbound(device)] };
    },
  };
}

function connect(
  parts: DeviceParts,
  to: InstanceInput,
  disk: DiskInput,
  signal: AbortSignal,
): Promise<VolumeConnection> {
  const { volumeId, readOnly } = disk;
  return parts.volumes.connect({ volumeId, node: parts.node, instance: to.instance, readOnly }, signal);
}

function unbound(device: Device): RecordChange {
  return { type: 'binding-patch', functionId: device.functionId, patch: { phase: 'intended', bdev: null } };
}

/**
 * A connection as the request brought it: Cinder's `{driver_volume_type, data}`, or our own `{protocol, data}`. The
 * text is never shown.
 */
function parseConnection(text: string, volumeId: VolumeId): VolumeConnection {
  let parsed: Json = null;
  try {
    parsed = JSON.parse(text) as Json;
  } catch {
    // The syntax error would show parts of the text, which may hold secrets.
  }
  const { driver_volume_type: type, protocol = type, data } = isJsonObject(parsed) ? parsed : {};
  if (typeof protocol !== 'string' || !isJsonObject(data)) {
    throw new DpuError('invalid', `connection_info of volume ${volumeId} can't be read`, { field: 'connection_info' });
  }
  return { protocol, data };
}
