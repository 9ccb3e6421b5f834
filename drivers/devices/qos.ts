import type { QosInput } from '../../core/operation/inputs.ts';
import type { Plan } from '../../core/operation/plan.ts';
import { stepRetry } from './deadlines.ts';
import { deviceStep } from './function-steps.ts';
import type { DeviceParts } from './parts.ts';

/** The plan of `set_interface_qos`: the limits of a port replace those that were there. One step, so there is nothing to undo. */
export function qosPlan(parts: DeviceParts, { portId, functionId, qos }: QosInput): Plan {
  const limit = deviceStep({ kind: 'nic', key: portId }, 'limit');
  const limited = qos.bitsPerSecond !== 0 || qos.packetsPerSecond !== 0;
  return {
    steps: [
      {
        name: limit,
        after: [],
        deadlineMs: parts.deadlines.attachMs,
        retry: stepRetry,
        async run({ signal }) {
          await parts.binder.setQos(portId, qos, signal);
          return { changes: [{ type: 'binding-patch', functionId, patch: { qos: limited ? qos : null } }] };
        },
      },
    ],
    pivot: limit,
  };
}
