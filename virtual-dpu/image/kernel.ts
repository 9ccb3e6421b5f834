import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DpuError } from '../../core/errors.ts';

/** A kernel to boot guests with. */
export interface GuestKernel {
  /** The file to boot. */
  readonly file: string;
  /** Debian's version of the package that it is from. */
  readonly version: string;
  /** Modules in the order in which they are to be loaded, each with its content. */
  readonly modules: readonly { readonly name: string; readonly content: Buffer }[];
}

/** Where set-up (`node tools/setup.mjs`) puts the kernel, once; nothing is fetched afterwards. `VIRTUAL_DPU_GUEST_CACHE` names another place. */
export function guestCache(): string {
  return process.env.VIRTUAL_DPU_GUEST_CACHE ?? join(import.meta.dirname, '../../.cache/guest');
}

/** The kernel in the cache. @throws DpuError `unavailable` when it is not there, with what to do. */
export async function guestKernel(directory = join(guestCache(), 'amd64')): Promise<GuestKernel> {
  try {
    const order = (await readFile(join(directory, 'modules.order'), 'utf8')).trim().split('\n');
    const names = new Set(await readdir(join(directory, 'modules')));
    const modules = await Promise.all(
      order
        .filter((name) => names.has(`${name}.ko`))
        .map(async (name) => ({ name, content: await readFile(join(directory, 'modules', `${name}.ko`)) })),
    );
    const version = (await readFile(join(directory, 'version'), 'utf8')).trim();
    return { file: join(directory, 'vmlinuz'), version, modules };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new DpuError(
      'unavailable',
      `there is no guest kernel in ${directory}; fetch it once with: node tools/setup.mjs test`,
      { cause },
    );
  }
}
