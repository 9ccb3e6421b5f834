/**
 * Makes the machine ready for the commands of this repository: npm packages (with Node 24 among them) and Debian packages.
 * Plain JavaScript for the system's Node (20 or newer), without dependencies: it runs before there are any. What is
 * there already costs no network access. By hand: `node tools/setup.mjs [demo|test|openstack|openstack-ceph]`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { hasApt, installPackages, missingPackages, rootAccess } from './apt.mjs';
import { withLock } from './lock.mjs';
import { bundledNode, bundledNodeVersion, NODE_MAJOR, npmCi, npmDifference } from './npm-packages.mjs';
import { downloadsFor, enabledServices, packagesFor, reasonFor } from './packages.mjs';
import { needsRestore } from './policy-rc.mjs';

/** The repository's root. */
export const ROOT = join(fileURLToPath(import.meta.url), '../..');

/** The sets that may be asked for by hand; without a word the first two. */
const COMMANDS = ['demo', 'test', 'openstack', 'openstack-ceph'];

/** What stops the set-up; the message says what is missing and how to go on. */
export class SetupError extends Error {}

/**
 * Brings npm packages and the Debian packages `need` and `optional`. Resolves with the Node 24 to run things with, the
 * environment for it, and the optional packages and `downloads` that could not be had.
 * @throws SetupError where something needed is missing and cannot be installed.
 */
export async function setup({ need = [], optional = [], downloads = [], say = sayLine } = {}) {
  checkSystemNode();
  await setupNpm(say);
  const missing = await setupApt([...need, ...optional], say);
  const stopping = need.filter((name) => missing.includes(name));
  if (stopping.length > 0) {
    throw new SetupError(
      `cannot go on without ${stopping.join(', ')}. What needs no Debian package still runs: npm test -- test/unit, npm run demo -- --no-broker`,
    );
  }
  missing.push(...(await setupDownloads(downloads, say)));
  const env = { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH ?? ''}` };
  return { node: bundledNode(ROOT), env, missing };
}

/** Runs `main` and turns a SetupError into one line and exit status 1. */
export async function orExplain(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`setup: ${error.message}`);
    process.exitCode = 1;
  }
}

function sayLine(text) {
  console.log(`setup: ${text}`);
}

function checkSystemNode() {
  if (process.platform !== 'linux') throw new SetupError(`this needs Linux, and this is ${process.platform}`);
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20)
    throw new SetupError(`Node ${process.versions.node} is too old to start with: install Node 20 or newer`);
}

async function setupNpm(say) {
  const lock = join(ROOT, '.cache/npm-ci.lock');
  await withLock(
    lock,
    async () => {
      const difference = npmDifference(ROOT);
      if (difference === undefined) return say('npm packages: up to date');
      say(`npm packages: ${difference}; running npm ci`);
      if (npmCi(ROOT) !== 0)
        throw new SetupError('npm ci failed (above): it needs an npm registry, see `npm config get registry`');
    },
    () => say('npm packages: waiting for another setup in this directory'),
  );
  const version = bundledNodeVersion(ROOT);
  if (version?.split('.')[0] === String(NODE_MAJOR)) return;
  const found = version === undefined ? 'is not there' : `is ${version}`;
  throw new SetupError(
    `Node ${NODE_MAJOR} should be in node_modules/.bin and ${found}. npm leaves out optional packages without a word when it ` +
      `cannot fetch them: check that the registry has node-linux-${process.arch}, delete node_modules and try again`,
  );
}

async function setupApt(names, say) {
  const missing = missingPackages(names);
  if (missing.length === 0 && !needsRestore()) {
    if (names.length > 0) say('Debian packages: up to date');
    return [];
  }
  for (const name of missing) say(`Debian package ${name} is missing: ${reasonFor(name)}`);
  if (!hasApt()) {
    say(`there is no apt here: install by other means what is in ${missing.join(', ')}`);
    return missing;
  }
  const access = rootAccess();
  if (access === 'none') {
    say('this needs root, and sudo is not to be had. As root, then the same command again:');
    say(`  node ${join(ROOT, 'tools/setup.mjs')} --apt ${missing.join(' ')}`);
    return missing;
  }
  if (missing.length > 0) {
    say(`Debian packages: installing ${missing.join(', ')} with apt-get; their services are not started`);
  }
  const status = access === 'direct' ? await installPackages(missing, { say }) : installWithSudo(missing);
  if (status > 128) throw new SetupError('interrupted');
  const still = missingPackages(names);
  for (const unit of enabledServices(missing.filter((name) => !still.includes(name)))) {
    say(`Debian enables ${unit} for the next boot; we do not use it: systemctl disable ${unit} if you do not want it`);
  }
  say(
    still.length === 0
      ? 'Debian packages: installed'
      : `Debian packages: apt-get could not install ${still.join(', ')}`,
  );
  return still;
}

/** Names of the downloads that could not be had: whatever needs one says so by itself. */
async function setupDownloads(downloads, say) {
  const cache = join(ROOT, '.cache');
  if (downloads.every(({ has }) => has(cache))) return [];
  if (!hasApt()) return downloads.map(({ name }) => name);
  const missing = [];
  const fetchAll = () => {
    for (const { name, why, has, fetch } of downloads) {
      if (has(cache)) continue;
      say(`${name}: downloading once: ${why}`);
      const problem = fetch(cache);
      if (problem === undefined) continue;
      say(`${name}: ${problem}`);
      missing.push(name);
    }
  };
  await withLock(join(cache, 'downloads.lock'), fetchAll, () => say('waiting for another setup that is downloading'));
  return missing;
}

function installWithSudo(names) {
  const script = fileURLToPath(import.meta.url);
  const keep = () => {}; // sudo hands the signal on; we wait until the other side has put things back
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, keep);
  const sudo = spawnSync('sudo', [process.execPath, script, '--apt', ...names], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, keep);
  return sudo.status ?? 128;
}

async function main(args) {
  if (args[0] === '--apt') {
    for (const name of args.slice(1)) reasonFor(name); // only what the list names is installed with root's rights
    process.exitCode = await installPackages(args.slice(1), { say: sayLine });
    return;
  }
  const commands = args.length === 0 ? ['demo', 'test'] : args;
  if (commands.some((name) => !COMMANDS.includes(name))) {
    throw new SetupError(`usage: node tools/setup.mjs ${COMMANDS.map((name) => `[${name}]`).join(' ')}`);
  }
  await setup({
    need: [...new Set(commands.flatMap(packagesFor))],
    downloads: [...new Set(commands.flatMap(downloadsFor))],
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await orExplain(() => main(process.argv.slice(2)));
