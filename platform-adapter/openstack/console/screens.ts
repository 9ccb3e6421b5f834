import { connect, type Socket } from 'node:net';
import type { Machines } from '../../../core/ports/compute-driver.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { InstanceId } from '../../../core/units.ts';
import type { Attend } from './backends.ts';

/** How long the host has to tell where a screen is, and to let us in. */
const reachMs = 10_000;

/** Shows the screens of machines: passes on what their host's VNC server says (RFC 6143), and what the client says. */
export function machineScreens(parts: { readonly screens: Pick<Machines, 'vncAddress'>; readonly log: Log }): Attend {
  async function reach(instance: InstanceId, client: Socket): Promise<void> {
    const { host, port } = await parts.screens.vncAddress(instance, AbortSignal.timeout(reachMs));
    if (client.destroyed) return;
    const screen = connect({ host, port, timeout: reachMs });
    screen.once('connect', () => screen.setTimeout(0));
    screen.on('timeout', () => screen.destroy());
    screen.on('error', (error) => {
      parts.log.warn('a screen can not be shown', { instance, error });
      screen.destroy();
    });
    screen.on('close', () => client.destroy());
    client.on('close', () => screen.destroy());
    client.pipe(screen);
    screen.pipe(client);
  }
  return (instance, client) => {
    reach(instance, client).catch((error: unknown) => {
      parts.log.warn('a screen can not be shown', { instance, error });
      client.destroy();
    });
  };
}
