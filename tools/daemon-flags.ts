/**
 * Node's flags for soc-daemon, everywhere it is started: systemd unit, demo, benchmarks. They keep resident memory down: a young
 * generation as small as the daemon's garbage is, and one helper thread. `docs/benchmarks.md` has what each is worth.
 */
export const daemonNodeFlags: readonly string[] = ['--max-semi-space-size=1', '--v8-pool-size=1'];
