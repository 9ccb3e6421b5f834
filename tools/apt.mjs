/** Debian packages: which are missing, and installing them without starting a service. */
import { spawn, spawnSync } from 'node:child_process';
import { withLock } from './lock.mjs';
import { denyServiceStarts, needsRestore, POLICY_PATH, restorePolicy } from './policy-rc.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const APT_INSTALL = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];

/** Those of `names` that dpkg does not call installed; all of them where there is no dpkg. */
export function missingPackages(names) {
  if (names.length === 0) return [];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const query = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...names], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
  const installed = new Set();
  for (const line of (query.stdout ?? '').split('\n')) {
    const [name, status] = line.split(' ');
    if (status === 'installed') installed.add(name);
  }
  return names.filter((name) => !installed.has(name));
}

/** How this process may become root: `direct`, `sudo`, or `none`. Asks for a password only where there is a terminal. */
export function rootAccess() {
  if (process.getuid?.() === 0) return 'direct';
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return 'sudo';
  const hasSudo = spawnSync('sudo', ['-V'], { stdio: 'ignore' }).status === 0;
  return hasSudo && process.stdin.isTTY ? 'sudo' : 'none';
}

/** Whether the machine has apt at all. */
export function hasApt() {
  return spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * As root: installs `names` while a policy-rc.d denies service starts, and puts that policy back whatever happens.
 * Resolves with the exit status: apt's, or 128 + n after a signal. Empty `names` only mends what an earlier run left.
 */
export async function installPackages(names, { policyPath = POLICY_PATH, say = () => {} } = {}) {
  const apt = signalSafeRunner();
  try {
    return await withLock(
      `${policyPath}.dpu-compute-lock`,
      async () => {
        if (needsRestore(policyPath)) say(`putting back ${policyPath}, which an interrupted run left behind`);
        restorePolicy(policyPath);
        if (names.length === 0) return 0;
        denyServiceStarts(policyPath);
        try {
          return await install(names, apt.run, say);
        } finally {
          restorePolicy(policyPath);
        }
      },
      () => say('waiting for another setup that is installing packages'),
    );
  } finally {
    apt.close();
  }
}

async function install(names, run, say) {
  const known = spawnSync('apt-cache', ['show', '--no-all-versions', ...names], { stdio: 'ignore' }).status === 0;
  if (known) {
    const status = await run('apt-get', [...APT_INSTALL, ...names]);
    if (status === 0 || status > 128) return status;
    say('apt-get failed; once more with fresh package lists');
    await run('dpkg', ['--configure', '-a']);
  }
  say('apt: refreshing the package lists');
  const updated = await run('apt-get', ['update', '-q']);
  if (updated > 128) return updated;
  return await run('apt-get', [...APT_INSTALL, ...names]);
}

/**
 * Runs commands in their own process group. A signal to us ends that whole group first, so that no package script runs on
 * after the policy is back; later commands are then not begun and answer 128 + n.
 */
function signalSafeRunner() {
  let child;
  let stopped = 0;
  const handlers = SIGNALS.map((signal) => {
    const handler = () => {
      stopped ||= 128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal];
      if (child) endGroup(child.pid);
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  const run = async (command, args) => {
    if (stopped) return stopped;
    child = spawn(command, args, {
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    });
    const status = await new Promise((resolve) => {
      child.on('error', () => resolve(127));
      child.on('exit', (code, signal) => resolve(code ?? (signal ? 128 : 1)));
    });
    child = undefined;
    return stopped || status;
  };
  const close = () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
  return { run, close };
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it ended by itself
  }
}
