import { type ChassisAction, chassisControl, getChassisStatus, type IpmiClient, readFru } from 'node-ipmi';
import { DpuError } from '../../core/errors.ts';
import { exchange } from './errors.ts';
import type { BmcProtocol, PowerOrder } from './protocol.ts';

/** What does each order (IPMI 2.0 28.3). `cycle` is not among them: off and on are two orders, so that nothing takes the mains away. */
const ACTIONS: Readonly<Record<PowerOrder, ChassisAction>> = {
  on: 'on',
  off: 'off',
  'soft-off': 'soft',
  reset: 'reset',
};

/** Speaks IPMI 2.0. The client stays its owner's. `callMs` is the limit of one exchange. */
export function ipmiProtocol(client: IpmiClient, callMs: number): BmcProtocol {
  const limits = (signal: AbortSignal | undefined) => ({ timeoutMs: callMs, ...(signal ? { signal } : {}) });
  return {
    power: (signal) =>
      exchange("reading the host's power by IPMI", signal, async () => {
        const { powerOn } = await getChassisStatus(client, limits(signal));
        return powerOn ? 'on' : 'off';
      }),
    order: (order, signal) =>
      exchange(`ordering ${order} by IPMI`, signal, () => chassisControl(client, ACTIONS[order], limits(signal))),
    setBoot: (_target, signal) =>
      exchange('choosing the boot disk by IPMI', signal, async () => {
        throw new DpuError('unsupported', 'IPMI knows disks only as a kind');
      }),
    inventory: (signal) =>
      exchange('reading the inventory by IPMI', signal, async () => {
        const { product, board, chassis } = await readFru(client, 0, limits(signal));
        return {
          serialNumber: product?.serialNumber ?? chassis?.serialNumber ?? board?.serialNumber,
          model: product?.productName ?? board?.productName,
          manufacturer: product?.manufacturer ?? board?.manufacturer,
        };
      }),
    close: async () => {},
  };
}
