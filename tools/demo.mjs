/**
 * `npm run demo`: set-up with the system's Node, then the demo itself (tools/demo.ts) with Node 24. Arguments, signals and the
 * exit status pass through. A broker that cannot be installed does not stop it here: the demo reads
 * DPU_COMPUTE_MISSING (package names, comma between) and says how to go on.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { downloadsFor, packagesFor } from './packages.mjs';
import { orExplain, ROOT, setup } from './setup.mjs';

/** The flags that tools/demo/options.ts reads: a wrong one is refused before anything is installed. */
const FLAGS = ['--help', '-h', '--keep', '--down', '--sim', '--openstack', '--no-broker', '--state'];

const args = process.argv.slice(2);
const has = (...names) => args.some((arg) => names.includes(arg));
const unknown = args.find((arg, at) => !FLAGS.includes(arg.split('=')[0]) && args[at - 1] !== '--state');
if (unknown !== undefined) {
  console.error(`demo: ${unknown} is not known (npm run demo -- --help shows what there is)`);
  process.exit(2);
}

/** What is to be there: nothing for a demo that starts nothing, little for a simulated one. */
function wanted() {
  if (has('--help', '-h', '--down')) return {};
  if (has('--openstack')) return { need: packagesFor('openstack') };
  const command = has('--sim') ? 'demo-sim' : 'demo';
  const packages = packagesFor(command).filter((name) => name !== 'rabbitmq-server' || !has('--no-broker'));
  return { optional: packages, downloads: downloadsFor(command) };
}

await orExplain(async () => {
  const { node, env, missing } = await setup(wanted());
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
