import { DpuError } from '../../core/errors.ts';
import type { HostPart } from '../description.ts';

/** What the server shall be; what is absent is left to the one that runs, or to a default. */
export interface HostOptions {
  readonly arch?: HostPart['arch'];
  /** `auto`: KVM where a trial shows that it works, else TCG. Default `tcg`. */
  readonly accel?: HostPart['accel'] | 'auto';
  readonly cpus?: number;
  readonly memoryMib?: number;
  readonly serialNumber?: string;
  readonly uuid?: string;
}

/** What the server is. */
export type HostSettings = Pick<HostPart, 'arch' | 'accel' | 'cpus' | 'memoryMib' | 'serialNumber' | 'uuid'>;

/** What a server is made of that nobody said anything about. */
export const HOST_DEFAULTS = { arch: 'x86_64', accel: 'tcg', cpus: 1, memoryMib: 1024 } as const;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Checks what can't be a server. @throws DpuError `invalid` with the field. */
export function checkHostOptions(options: HostOptions): void {
  const { cpus, memoryMib, serialNumber, uuid } = options;
  if (cpus !== undefined && !(Number.isInteger(cpus) && cpus >= 1 && cpus <= 64)) {
    throw new DpuError('invalid', 'a server has 1 to 64 CPUs', { field: 'cpus' });
  }
  if (memoryMib !== undefined && !(Number.isInteger(memoryMib) && memoryMib >= 64 && memoryMib <= 1 << 20)) {
    throw new DpuError('invalid', 'a server has 64 to 1048576 MiB of memory', { field: 'memoryMib' });
  }
  if (serialNumber !== undefined && !/^[\w.:-]{1,64}$/.test(serialNumber)) {
    throw new DpuError('invalid', 'a serial number is 1 to 64 letters, digits or any of . _ : -', {
      field: 'serialNumber',
    });
  }
  if (uuid !== undefined && !UUID.test(uuid)) {
    throw new DpuError('invalid', 'a uuid is 32 lower-case hex digits as 8-4-4-4-12', { field: 'uuid' });
  }
}

/** @throws DpuError `conflict` naming what a running server would have to be made anew for. */
export function checkUnchanged(running: HostSettings, options: HostOptions): void {
  for (const key of ['arch', 'accel', 'cpus', 'memoryMib', 'serialNumber', 'uuid'] as const) {
    const wanted = options[key];
    if (wanted === undefined || wanted === 'auto' || wanted === running[key]) continue;
    throw new DpuError(
      'conflict',
      `the server runs with ${key} ${running[key]} and not ${wanted}: take it down first`,
      {
        field: key,
        details: { running: running[key], wanted },
      },
    );
  }
}
