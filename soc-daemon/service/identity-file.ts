import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import { validate } from '../../kit/validate.ts';
import type { NodeIdentityFile } from '../../schemas/generated/rest.ts';

/** Name of the file in the state directory that a first start takes its identity from. */
export const identityFileName = 'identity.import';

const mostBytes = 4 * 1024 * 1024;

/** The identity that was laid in for a first start; null: none. @throws DpuError `invalid`, `denied` (others may read it). */
export function readImportedIdentity(stateDir: string): NodeIdentityFile | null {
  const file = join(stateDir, identityFileName);
  if (!existsSync(file)) return null;
  const { size, mode } = statSync(file);
  if ((mode & 0o077) !== 0) throw new DpuError('denied', `${file} can be read by others; chmod 600 it`);
  if (size > mostBytes) throw new DpuError('invalid', `${file} is too large for an identity`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new DpuError('invalid', `${file} is no JSON`, { cause });
  }
  return validate<NodeIdentityFile>('rest.json#/properties/identity', value, file);
}

/** Removes it once it is in the store. */
export function forgetImportedIdentity(stateDir: string): void {
  rmSync(join(stateDir, identityFileName), { force: true });
}

/** Refuses a configuration that calls the node otherwise towards storage: targets know it by those names. @throws DpuError `conflict`. */
export function checkNames(
  { storage }: { readonly storage: { readonly host_nqn?: string; readonly initiator_iqn: string } },
  imported: NodeIdentityFile | null,
): void {
  if (!imported) return;
  for (const name of ['host_nqn', 'initiator_iqn'] as const) {
    const wanted = imported[name];
    if (wanted === null || (storage[name] ?? null) === wanted) continue;
    throw new DpuError('conflict', `the imported identity was called ${wanted}, and the configuration says otherwise`, {
      field: `storage.${name}`,
    });
  }
}
