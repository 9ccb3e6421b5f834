import type { SocDaemonConfig } from '../../schemas/generated/config.ts';

/** The `sim` part of the configuration, taken as it is. */
export type SimOptions = NonNullable<SocDaemonConfig['sim']>;

/** How long the hardware takes for what is not a call, in milliseconds. */
export interface SimTiming {
  /** A running host finds a function that was plugged. */
  readonly enumerationMs: number;
  /** From power on to the host being on. */
  readonly powerOnMs: number;
  /** A host that was asked to shut down is off. */
  readonly shutdownMs: number;
}

/** Options with nothing left out. */
export interface ResolvedOptions {
  readonly latencyMs: number;
  readonly model: string;
  readonly functions: number;
  readonly host: { readonly cpus: number; readonly memoryMib: number; readonly serialNumber: string };
  readonly images: ReadonlyMap<string, { readonly sizeBytes: number }>;
  readonly volumes: ReadonlyMap<string, { readonly sizeBytes: number; readonly bootable: boolean }>;
  readonly timing: SimTiming;
}

/** Fills in what was left out; the configuration's schema has its own defaults, these serve tests. */
export function resolveOptions(options: SimOptions, timing: Partial<SimTiming> = {}): ResolvedOptions {
  return {
    latencyMs: options.latency_ms ?? 0,
    model: options.model ?? 'BF2',
    functions: options.functions ?? 64,
    host: {
      cpus: options.host?.cpus ?? 64,
      memoryMib: options.host?.memory_mib ?? 524_288,
      serialNumber: options.host?.serial_number ?? 'SIM0001',
    },
    images: new Map(
      Object.entries(options.images ?? { demo: { size_bytes: 1_073_741_824 } }).map(([name, image]) => [
        name,
        { sizeBytes: image.size_bytes },
      ]),
    ),
    volumes: new Map(
      Object.entries(options.volumes ?? {}).map(([id, volume]) => [
        id,
        { sizeBytes: volume.size_bytes, bootable: volume.bootable ?? false },
      ]),
    ),
    timing: { enumerationMs: 20, powerOnMs: 0, shutdownMs: 0, ...timing },
  };
}
