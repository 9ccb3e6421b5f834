/** Steps on the host's BIOS settings, which a tenant may reach over the console. */

import type { Step } from '../../core/operation/plan.ts';
import { stepRetry } from '../devices/deadlines.ts';
import type { BmParts } from './parts.ts';

/** `host:bios-check`: settings that would cut the SoC off, or keep the host from its boot disk, fail the build. */
export function biosCheckStep(parts: BmParts): Step {
  return {
    name: 'host:bios-check',
    after: [],
    deadlineMs: parts.deadlines.bootDeviceMs,
    retry: stepRetry,
    async run({ signal }) {
      await parts.bios?.check(signal);
      return {};
    },
  };
}

/** `host:bios-restore`: what the tenant changed goes back, from the next start on; `left` are names that would not. */
export function biosRestoreStep(parts: BmParts, after: readonly string[]): Step {
  return {
    name: 'host:bios-restore',
    after,
    deadlineMs: parts.deadlines.bootDeviceMs,
    retry: stepRetry,
    async run({ signal }) {
      const done = await parts.bios?.restore(signal);
      return done ? { output: { restored: [...done.restored], left: [...done.left] } } : {};
    },
  };
}
