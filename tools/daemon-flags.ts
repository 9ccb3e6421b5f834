/**
 * Node's flags for soc-daemon, everywhere it is started: systemd unit, demo, benchmarks. They trade speed, which a daemon that
 * waits for hardware has to spare, for resident memory, which a SoC has not; `docs/benchmarks.md` has what they are worth.
 * Not `--lite-mode`: beside these it saves nothing.
 */
export const daemonNodeFlags: readonly string[] = [
  // Garbage is small and short-lived.
  '--max-semi-space-size=1',
  // Collects at some 30 MiB and not only at 100: what lives is 25 MiB, the rest is room for the largest requests.
  '--max-old-space-size=192',
  // Interprets: no optimised copy of the code, and no compiler's memory.
  '--max-opt=0',
  '--no-sparkplug',
  '--optimize-for-size',
  // One helper thread.
  '--v8-pool-size=1',
  // An idle daemon does not collect its whole heap twice a minute to give back what it will need again: some 200 ms of CPU a minute.
  '--no-memory-reducer',
  // It collects once instead, when it has started (kit/garbage.ts).
  '--expose-gc',
];

/** Node's flags for snic-controller. */
export const controllerNodeFlags: readonly string[] = [...daemonNodeFlags, '--lite-mode'];
