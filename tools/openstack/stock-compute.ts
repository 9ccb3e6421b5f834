/** The stock nova-compute with its fake virt driver: what the daemon is compared with. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configFile } from './config-files.ts';
import { ini } from './ini.ts';
import type { Stack } from './stack.ts';

/** Name of its program among the stack's. */
export function stockComputeName(host: string): string {
  return `nova-compute-${host}`;
}

/** Starts one as the compute host `host`; answers its pid. It is up when nova says so. */
export function startStockCompute({ layout, programs }: Stack, host: string): number {
  const state = join(layout.dir, 'nova', host);
  mkdirSync(state, { recursive: true });
  const file = join(layout.dir, 'etc/nova', `${host}.conf`);
  writeFileSync(file, ini({ DEFAULT: { host, state_path: state } }), { mode: 0o600 });
  const argv = ['nova-compute', '--config-file', configFile(layout, 'compute'), '--config-file', file] as const;
  return programs.start({ name: stockComputeName(host), argv, cwd: layout.dir });
}
