import { createHash } from 'node:crypto';
import { DpuError } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { FunctionId, Mac } from '../../core/units.ts';

/** Who has which MAC. */
export type TakenMacs = ReadonlyMap<Mac, string>;

/** A locally administered address that follows from the id, or the next one that nobody has. */
export function chooseMac(id: FunctionId, taken: TakenMacs): Mac {
  for (let turn = 0; ; turn += 1) {
    const hex = createHash('sha256').update(`${id}\u0000${turn}`).digest('hex').slice(0, 10);
    const mac = parseMac(`02${hex}`);
    if (!taken.has(mac)) return mac;
  }
}

/** @throws DpuError `conflict` for a MAC that another function has. */
export function requireFreeMac(mac: Mac, taken: TakenMacs): void {
  const holder = taken.get(mac);
  if (holder === undefined) return;
  throw new DpuError('conflict', `MAC ${mac} is that of function ${holder}`, {
    field: 'mac',
    details: { mac, function: holder },
  });
}
