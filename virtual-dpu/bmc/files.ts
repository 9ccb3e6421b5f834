/** Where the BMC keeps its things in a state directory. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nameOf, runDir, socketPath } from '../paths.ts';

/** Files and sockets of the BMC. */
export interface BmcFiles {
  readonly dir: string;
  readonly passwordFile: string;
  readonly keyFile: string;
  readonly certificateFile: string;
  /** What the service was started with. */
  readonly optionsFile: string;
  readonly stateFile: string;
  /** Unix socket of `bmcControl` and of ipmi_sim's chassis program. */
  readonly controlSocket: string;
  /** The host's serial line for many. */
  readonly serialSocket: string;
  /** The same as a terminal, for ipmi_sim. Its lock on it goes by the last part of the path alone (UUCP's way), so that must be this DPU's. */
  readonly terminal: string;
  /** Where ipmi_sim takes commands from. */
  readonly simInput: string;
}

/** The files' names. @throws DpuError `invalid` when the state directory's path is too long for sockets. */
export function bmcFiles(stateDir: string): BmcFiles {
  const dir = join(stateDir, 'bmc');
  const run = runDir(stateDir);
  return {
    dir,
    passwordFile: join(dir, 'password'),
    keyFile: join(dir, 'key.pem'),
    certificateFile: join(dir, 'certificate.pem'),
    optionsFile: join(dir, 'service.json'),
    stateFile: join(dir, 'state.json'),
    controlSocket: socketPath(run, 'bmc.sock'),
    serialSocket: socketPath(run, 'bmc-serial.sock'),
    terminal: join(run, `${nameOf(stateDir)}.tty`),
    simInput: join(run, `${SIM}.stdin`),
  };
}

/** Name of ipmi_sim's process. */
export const SIM = 'ipmi-sim';

/** Makes the BMC's directory for this user alone. */
export async function makeBmcDir({ dir }: BmcFiles): Promise<void> {
  await mkdir(join(dir, 'ipmi-state'), { recursive: true, mode: 0o700 });
}
