import { DpuError } from '../../core/errors.ts';
import type { Flavor } from '../../core/records.ts';
import type { BuildAndRunInstanceArgs } from '../../schemas/generated/rpc.ts';
import { choices, quote } from './wording.ts';

/** A flavor of the catalogue. */
export interface CatalogueFlavor {
  readonly vcpus: number;
  readonly memory_mib: number;
  /** Least size of the boot volume. */
  readonly root_gib?: number;
}

/** A flavor with what only the build needs of it. */
export interface ResolvedFlavor extends Flavor {
  readonly rootGib: number | null;
}

const shorthand = /^([1-9]\d{0,3})c([1-9]\d{0,5})g$/;

/**
 * Reads a request's flavor: a name of the catalogue, `NcMg` (N CPUs, M GiB), or the sizes themselves.
 * @throws DpuError `not_found` (with its field) for a name that is neither.
 */
export function resolveFlavor(
  wanted: BuildAndRunInstanceArgs['flavor'],
  catalogue: Readonly<Record<string, CatalogueFlavor>>,
  field = 'flavor',
): ResolvedFlavor {
  if (typeof wanted !== 'string') {
    const { vcpus, memory_mib, root_gib } = wanted;
    return { name: wanted.name ?? `${vcpus}c${memory_mib}m`, vcpus, memory_mib, rootGib: root_gib ?? null };
  }
  const known = Object.hasOwn(catalogue, wanted) ? catalogue[wanted] : undefined;
  if (known) {
    return { name: wanted, vcpus: known.vcpus, memory_mib: known.memory_mib, rootGib: known.root_gib ?? null };
  }
  const [, cpus, gib] = shorthand.exec(wanted) ?? [];
  if (cpus === undefined || gib === undefined) {
    const what = `flavor ${quote(wanted)} is not in the catalogue (${choices(Object.keys(catalogue))}), and not of the form 4c8g`;
    throw new DpuError('not_found', what, { field });
  }
  return { name: wanted, vcpus: Number(cpus), memory_mib: Number(gib) * 1024, rootGib: null };
}
