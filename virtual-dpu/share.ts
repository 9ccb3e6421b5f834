/** What a daemon without rights of its own needs of a virtual DPU, given to its group. */
import { chmod, chown, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DpuError, hasCode } from '../core/errors.ts';
import type { VirtualDpu } from './description.ts';
import { descriptionFile } from './paths.ts';
import { runTool } from './process.ts';

/** The id of a group, by its name or number. @throws DpuError `invalid` when there is none. */
export async function groupId(group: string): Promise<number> {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  try {
    const [, , id] = (await runTool(['getent', 'group', group])).split(':');
    return Number(id);
  } catch (error) {
    if (!hasCode(error, 'hardware')) throw error;
    throw new DpuError('invalid', `there is no group ${group}`, { field: 'group' });
  }
}

/**
 * Lets a group use OVSDB and SPDK's socket, log in to the BMC, and read the description. QEMU's monitors, OVS' own sockets and the logs stay
 * root's. May be called twice.
 */
export async function shareWith(group: number, dpu: VirtualDpu): Promise<void> {
  const { network, storage, bmc, stateDir } = dpu;
  const sockets = [network.ovsdb.slice('unix:'.length), storage.spdk];
  for (const path of sockets) await give(path, group, 0o660, stateDir);
  for (const path of [bmc.passwordFile, bmc.redfish.certificateFile, descriptionFile(stateDir)]) {
    await give(path, group, 0o640, stateDir);
  }
}

/** The file itself, and a way through the folders above it, up to the state directory. */
async function give(path: string, group: number, mode: number, stateDir: string): Promise<void> {
  const { uid } = await stat(path);
  await chown(path, uid, group);
  await chmod(path, mode);
  for (let dir = dirname(path); dir.startsWith(stateDir); dir = dirname(dir)) {
    await chown(dir, (await stat(dir)).uid, group);
    await chmod(dir, 0o710);
  }
}
