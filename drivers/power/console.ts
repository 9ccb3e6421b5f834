import { type IpmiClient, openSol } from 'node-ipmi';
import type { HostConsole } from '../../core/ports/host-console.ts';
import { exchange } from './errors.ts';

/** The host's serial console by serial over LAN (IPMI 2.0 15). `callMs` is the limit of opening it. */
export function ipmiConsole(client: IpmiClient, callMs: number): HostConsole {
  return {
    open: (signal) =>
      exchange('opening the console by IPMI', signal, () => openSol(client, { signal, timeoutMs: callMs })),
  };
}
