/** What is refused before anything is touched. */

import { DpuError } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { FunctionClass, FunctionType } from '../../core/ports/snic-controller.ts';
import type { FunctionId, Mac } from '../../core/units.ts';
import type { BackendCapabilities } from '../backends/backend.ts';

/** A function that a caller wants. */
export interface WantedFunction {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  /** As the caller wrote it; null: any. */
  readonly mac: string | null;
  readonly features: readonly string[];
  readonly parent: FunctionId | null;
  readonly mark: OwnershipMark | null;
}

/** The MAC that is wanted, in our spelling. @throws DpuError `invalid`. */
export function wantedMac(of: Pick<WantedFunction, 'class' | 'mac'>): Mac | null {
  if (of.mac === null) return null;
  if (of.class !== 'virtio-net') throw new DpuError('invalid', 'a storage function has no MAC', { field: 'mac' });
  return parseMac(of.mac);
}

/** @throws DpuError `unsupported`, naming what the card can't do. */
export function requireKind(capabilities: BackendCapabilities, wanted: WantedFunction): void {
  const { kinds, vfs } = capabilities;
  if (wanted.type === 'VF' && vfs === 'none') {
    throw new DpuError('unsupported', 'this card has no VFs', { field: 'type' });
  }
  const kind = kinds.find((each) => each.type === wanted.type && each.class === wanted.class);
  if (kind === undefined) {
    throw new DpuError('unsupported', `this card makes no ${wanted.type} of class ${wanted.class}`, { field: 'class' });
  }
  const missing = wanted.features.filter((each) => !kind.features.includes(each));
  if (missing.length === 0) return;
  throw new DpuError('unsupported', `this card does not offer ${missing.join(', ')}`, {
    field: 'features',
    details: { missing, offered: kind.features },
  });
}

/** What `set_function` changes. */
export interface WantedChange {
  readonly mac?: string;
  readonly link?: 'up' | 'down';
  readonly rate?: number;
}

/** @throws DpuError `unsupported`, `invalid`, `bad_state` (a MAC that can be changed only while the host does not see it). */
export function requireChange(
  capabilities: BackendCapabilities,
  of: { readonly class: FunctionClass; readonly plugged: boolean },
  change: WantedChange,
): void {
  const { set } = capabilities;
  const no = (field: string): never => {
    throw new DpuError('unsupported', `this card does not let ${field} be changed`, { field });
  };
  if (change.link !== undefined && (!set.link || of.class !== 'virtio-net')) no('link');
  if (change.rate !== undefined && (!set.rate || of.class !== 'virtio-net')) no('rate');
  if (change.mac === undefined) return;
  if (set.mac === 'never') no('mac');
  if (set.mac === 'unplugged' && of.plugged) {
    throw new DpuError('bad_state', 'the MAC can be changed only while the host does not see the function');
  }
}
