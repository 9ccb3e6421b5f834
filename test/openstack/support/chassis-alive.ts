import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { programEnvironment } from '../../../tools/openstack/programs.ts';
import { signIn } from '../../../tools/openstack/rest.ts';
import type { Stack } from '../../../tools/openstack/stack.ts';
import { until } from '../../support/wait.ts';

/**
 * Waits until Neutron takes a host's chassis for alive, else it binds no port to it: that is when OVN has counted on (NB_Global.nb_cfg) since it came, so it is
 * made to.
 */
export async function untilChassisAlive({ admin, layout }: Stack, hostname: string): Promise<void> {
  const session = await signIn(admin);
  const nb = `--db=unix:${layout.sockets}/nb.sock`;
  const isAlive = async (): Promise<boolean> => {
    await promisify(execFile)('ovn-nbctl', [nb, '--timeout=30', '--wait=sb', 'sync'], { env: programEnvironment() });
    const path = `/v2.0/agents?host=${hostname}`;
    const { agents } = await session.call<{ agents: readonly { readonly alive: boolean }[] }>('network', 'GET', path);
    return agents.some(({ alive }) => alive);
  };
  await until(`Neutron calls the chassis of ${hostname} alive`, isAlive, 60_000);
}
