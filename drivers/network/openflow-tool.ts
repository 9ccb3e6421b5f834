import { DpuError } from '../../core/errors.ts';
import { exec } from '../../kit/exec.ts';

/** A meter: how much may pass, in kilobits or packets a second, and how much at once. */
export interface Meter {
  readonly unit: 'kbps' | 'pktps';
  readonly rate: number;
  readonly burst: number;
}

/** What is done to a bridge's flows and meters. All reject with `unavailable`, `timeout`, or `internal` when the switch refuses. */
export interface OpenFlowTool {
  /** Makes the bridge's flows these, all at once; those that are there already keep their counters. */
  replaceFlows(flows: readonly string[], signal?: AbortSignal): Promise<void>;
  meters(signal?: AbortSignal): Promise<ReadonlyMap<number, Meter>>;
  /** Makes or changes one. */
  setMeter(id: number, meter: Meter, exists: boolean, signal?: AbortSignal): Promise<void>;
  /** The flows that use it go with it. */
  deleteMeter(id: number, signal?: AbortSignal): Promise<void>;
}

/** Bundles need 1.4; ovs-ofctl speaks 1.0 unless told. */
const openFlow = ['-O', 'OpenFlow14'] as const;

/** `ovs-ofctl` on the bridge's management socket, which works across network namespaces. */
export function openFlowTool(socketPath: string, timeoutMs = 10_000): OpenFlowTool {
  const target = `unix:${socketPath}`;

  async function run(command: readonly string[], signal?: AbortSignal, input?: string): Promise<string> {
    const args = [...openFlow, `--timeout=${Math.ceil(timeoutMs / 1000)}`, ...command];
    const { code, stdout, stderr } = await exec('ovs-ofctl', args, {
      timeoutMs: timeoutMs + 1000,
      signal,
      ...(input === undefined ? {} : { input }),
    });
    if (code === 0) return stdout;
    const [doing = ''] = command.filter((each) => !each.startsWith('-'));
    throw new DpuError('unavailable', `ovs-ofctl ${doing} failed`, {
      details: { code, says: stderr.trim().slice(0, 500) },
    });
  }

  return {
    async replaceFlows(flows, signal) {
      await run(['--bundle', 'replace-flows', target, '-'], signal, `${flows.join('\n')}\n`);
    },
    meters: async (signal) => parseMeters(await run(['dump-meters', target], signal)),
    async setMeter(id, { unit, rate, burst }, exists, signal) {
      const text = `meter=${id},${unit},burst,stats,bands=type=drop,rate=${rate},burst_size=${burst}`;
      await run([exists ? 'mod-meter' : 'add-meter', target, text], signal);
    },
    async deleteMeter(id, signal) {
      await run(['del-meter', target, `meter=${id}`], signal);
    },
  };
}

/** Reads `ovs-ofctl dump-meters`. */
export function parseMeters(text: string): ReadonlyMap<number, Meter> {
  const pattern = /^meter=(\d+) (kbps|pktps)\b[^\n]*\n\s*type=drop rate=(\d+)(?: burst_size=(\d+))?/gm;
  return new Map(
    [...text.matchAll(pattern)].map(([, id, unit, rate, burst]) => [
      Number(id),
      { unit: unit === 'kbps' ? 'kbps' : 'pktps', rate: Number(rate), burst: Number(burst ?? 0) },
    ]),
  );
}
