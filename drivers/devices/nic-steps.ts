/** Steps of a NIC: port - function - bind. The binding's row is there from the first until its undo. */

import { DpuError } from '../../core/errors.ts';
import { nicMark } from '../../core/marks.ts';
import type { InstanceInput, NicInput } from '../../core/operation/inputs.ts';
import type { Step } from '../../core/operation/plan.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionSpec } from '../../core/ports/snic-controller.ts';
import type { RecordChange } from '../../core/records.ts';
import { asId, type InstanceId, type Json, type Mac, type PortId } from '../../core/units.ts';
import { stepRetry } from './deadlines.ts';
import { type Device, deviceStep, intendedFunction, madeFunction, releaseStep } from './function-steps.ts';
import { fieldsOf } from './json-fields.ts';
import type { DeviceParts, DeviceSteps } from './parts.ts';

/** A NIC as a device of the card. */
export function nicDevice(nic: NicInput): Device {
  return { kind: 'nic', key: nic.portId, functionId: nic.functionId };
}

/** A port that the request named is not ours to make again: its subnet is not in the mark. */
function markOf(parts: DeviceParts, to: InstanceInput, nic: NicInput, ips: readonly string[]): OwnershipMark {
  return nicMark(parts.node, to, nic, { subnet: nic.subnet, ips, madeForInstance: nic.subnet !== null });
}

/** The steps that get a function's representor bound to its port, unplugged. */
export function makeNic(parts: DeviceParts, to: InstanceInput, nic: NicInput): DeviceSteps {
  const port = portStep(parts, to, nic);
  const made = functionStep(parts, to, nic, port.name);
  const bind = bindStep(parts, to, nic, port.name, made.name);
  return { steps: [port, made, bind], ready: bind.name };
}

/**
 * The steps behind a NIC's unplug: its representor leaves the bridge, its function and port are given back. The
 * binding's row goes last: as long as anything may be there, a destroy finds it by that row.
 */
export function takeDownNic(parts: DeviceParts, instance: InstanceId, device: Device): readonly Step[] {
  const portId = asId<PortId>(device.key);
  const unbind = deviceStep(device, 'unbind');
  const release = releaseStep(parts, device, [unbind]);
  return [
    {
      name: unbind,
      after: [deviceStep(device, 'unplug')],
      deadlineMs: parts.deadlines.attachMs,
      retry: stepRetry,
      async run({ signal }) {
        await parts.binder.unbind(portId, signal);
        return { changes: [unbound(device)] };
      },
    },
    release,
    {
      name: deviceStep(device, 'release-port'),
      after: [release.name],
      deadlineMs: parts.deadlines.portMs,
      retry: stepRetry,
      async run({ signal }) {
        await parts.networks.releasePort(portId, instance, signal);
        return { changes: [{ type: 'binding-gone', functionId: device.functionId }] };
      },
    },
  ];
}

function portStep(parts: DeviceParts, to: InstanceInput, nic: NicInput): Step {
  const { portId, functionId, subnet, mac } = nic;
  const intended: RecordChange = {
    type: 'binding',
    record: {
      functionId,
      instance: to.instance,
      kind: 'port',
      key: portId,
      phase: 'intended',
      madeForInstance: subnet !== null,
      ips: [],
      boot: false,
      readOnly: false,
      sizeBytes: null,
      bdev: null,
      connectionSecret: null,
      qos: null,
    },
  };
  return {
    name: deviceStep(nicDevice(nic), 'port'),
    after: [],
    deadlineMs: parts.deadlines.portMs,
    retry: stepRetry,
    intent: [intended],
    async run({ signal }) {
      const spec = { portId, subnet, mac, node: parts.node, instance: to.instance };
      const port = await parts.networks.ensurePort(spec, signal);
      return {
        output: { mac: port.mac, ips: port.ips },
        changes: [{ type: 'binding-patch', functionId, patch: { ips: port.ips } }],
      };
    },
    async undo({ signal }) {
      await parts.networks.releasePort(portId, to.instance, signal);
      return { changes: [{ type: 'binding-gone', functionId }] };
    },
  };
}

function functionStep(parts: DeviceParts, to: InstanceInput, nic: NicInput, port: string): Step {
  const spec: FunctionSpec = {
    id: nic.functionId,
    type: nic.type,
    class: 'virtio-net',
    mac: nic.mac,
    features: [],
    mark: markOf(parts, to, nic, []),
  };
  return {
    name: deviceStep(nicDevice(nic), 'function'),
    after: [port],
    deadlineMs: parts.deadlines.functionMs,
    retry: stepRetry,
    intent: [intendedFunction(to.instance, spec)],
    async run({ signal, output }) {
      const { mac, ips } = portAnswer(output(port), port);
      const mark = markOf(parts, to, nic, ips);
      const made = await parts.snic.ensureFunction({ ...spec, mac, mark }, signal);
      return { output: { representor: made.representor }, changes: [madeFunction(made)] };
    },
    async undo({ signal }) {
      await parts.snic.releaseFunction(nic.functionId, signal);
      return { changes: [{ type: 'function-gone', id: nic.functionId }] };
    },
  };
}

function bindStep(parts: DeviceParts, to: InstanceInput, nic: NicInput, port: string, made: string): Step {
  const device = nicDevice(nic);
  const { portId, functionId } = nic;
  return {
    name: deviceStep(device, 'bind'),
    after: [port, made],
    deadlineMs: parts.deadlines.attachMs,
    retry: stepRetry,
    async run({ signal, output }) {
      const representor = fieldsOf(output(made), made).textOrNull('representor');
      if (representor === null) throw new DpuError('hardware', `network function ${functionId} has no representor`);
      const { mac, ips } = portAnswer(output(port), port);
      const mark = markOf(parts, to, nic, ips);
      await parts.binder.bind({ portId, functionId, representor, mac, mark }, signal);
      return { changes: [{ type: 'binding-patch', functionId, patch: { phase: 'bound' } }] };
    },
    async undo({ signal }) {
      await parts.binder.unbind(portId, signal);
      return { changes: [unbound(device)] };
    },
  };
}

function portAnswer(output: Json, step: string): { readonly mac: Mac; readonly ips: readonly string[] } {
  const fields = fieldsOf(output, step);
  return { mac: fields.text('mac') as Mac, ips: fields.texts('ips') };
}

function unbound(device: Device): RecordChange {
  return { type: 'binding-patch', functionId: device.functionId, patch: { phase: 'intended' } };
}
