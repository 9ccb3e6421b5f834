/**
 * `npm run demo`: set-up with the system's Node, then the demo itself (tools/demo.ts) with Node 24. Arguments, signals and the
 * exit status pass through. A broker that cannot be installed does not stop it here: the demo reads
 * DPU_COMPUTE_MISSING (package names, comma between) and says how to go on.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { packagesFor } from './packages.mjs';
import { orExplain, ROOT, setup } from './setup.mjs';

/** Flags with which the demo starts nothing, or no broker: Debian packages are then not looked at. */
const WITHOUT_PACKAGES = ['--help', '-h', '--down', '--no-broker'];

await orExplain(async () => {
  const args = process.argv.slice(2);
  const optional = args.some((arg) => WITHOUT_PACKAGES.includes(arg)) ? [] : packagesFor('demo');
  const { node, env, missing } = await setup({ optional });
  const child = spawn(node, [join(ROOT, 'tools/demo.ts'), ...args], {
    stdio: 'inherit',
    env: { ...env, DPU_COMPUTE_MISSING: missing.join(',') },
  });
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    // A terminal sends its Ctrl-C to both of us already.
    const handler = () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal));
    process.on(signal, handler);
    return [signal, handler];
  });
  const [code, signal] = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (...ending) => resolve(ending));
  });
  for (const [name, handler] of handlers) process.off(name, handler);
  if (signal) process.kill(process.pid, signal);
  process.exitCode = code ?? 1;
});
