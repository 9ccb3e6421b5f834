import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const aptModule = join(import.meta.dirname, '../../tools/apt.mjs');
let dir: string;
let policy: string;
let children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'setup-apt-'));
  policy = join(dir, 'policy-rc.d');
  fake('apt-cache', 'exit 0');
  fake('dpkg', 'echo "dpkg $*" >>"$DIR/calls"');
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  rmSync(dir, { recursive: true, force: true });
});

/** Puts a command first in the PATH of the set-up. */
function fake(name: string, script: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, name), 0o755);
}

/** An apt-get that notes its arguments and what the policy answers meanwhile, then does `then`. */
function fakeApt(then: string): void {
  fake(
    'apt-get',
    `"${policy}" some-service start; echo "policy $?" >>"$DIR/calls"; echo "apt-get $*" >>"$DIR/calls"; ${then}`,
  );
}

function calls(): readonly string[] {
  return existsSync(join(dir, 'calls')) ? readFileSync(join(dir, 'calls'), 'utf8').trim().split('\n') : [];
}

function begin(names: readonly string[]): ChildProcess {
  const options = JSON.stringify({ policyPath: policy });
  const code = `const { installPackages } = await import(${JSON.stringify(aptModule)});
    process.exitCode = await installPackages(${JSON.stringify(names)}, ${options});`;
  const env = { ...process.env, DIR: dir, PATH: `${dir}:${process.env.PATH}` };
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

const install = (names: readonly string[]): Promise<number | null> => ended(begin(names));

/** Waits until the fake apt-get says that it is in the middle of its work. */
async function inTheMiddle(child: ChildProcess): Promise<void> {
  for await (const chunk of child.stdout ?? []) if (String(chunk).includes('unpacking')) return;
  throw new Error('the set-up ended before apt-get began');
}

/** What lies in the directory of the policy besides the fakes: nothing of ours may stay. */
function leftovers(): readonly string[] {
  return readdirSync(dir).filter((name) => name.includes('dpu-compute'));
}

/** State of a process as the kernel has it; `gone` when there is none of that pid. */
function stateOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? 'gone';
  } catch {
    return 'gone'; // it ended between two looks
  }
}

describe('installing Debian packages', () => {
  it('denies service starts meanwhile, and takes the policy away after', async () => {
    fakeApt('exit 0');
    expect(await install(['broker'])).toBe(0);
    expect(calls()[0]).toBe('policy 101');
    expect(calls()[1]).toMatch(/^apt-get install -y --no-install-recommends .*broker$/);
    expect(existsSync(policy)).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it('puts back a policy that allows, byte for byte and with its mode', async () => {
    const text = '#!/bin/sh\nexit 0 # \u00e9\n';
    writeFileSync(policy, text);
    chmodSync(policy, 0o751);
    fakeApt('exit 0');
    expect(await install(['broker'])).toBe(0);
    expect(calls()[0]).toBe('policy 101');
    expect(readFileSync(policy, 'utf8')).toBe(text);
    expect(lstatSync(policy).mode & 0o7777).toBe(0o751);
  });

  it('puts back a link', async () => {
    fake('allow', 'exit 0');
    symlinkSync(join(dir, 'allow'), policy);
    fakeApt('exit 0');
    await install(['broker']);
    expect(calls()[0]).toBe('policy 101');
    expect(lstatSync(policy).isSymbolicLink()).toBe(true);
    expect(readFileSync(policy, 'utf8')).toContain('exit 0');
  });

  it('leaves a policy that denies already', async () => {
    fake('policy-rc.d', 'echo "asked" >>"$DIR/calls"; exit 101');
    const before = lstatSync(policy);
    fakeApt('exit 0');
    await install(['broker']);
    expect(calls()).toContain('asked');
    expect(lstatSync(policy).ino).toBe(before.ino);
  });

  it('puts back after a failure too, having tried once more with fresh lists', async () => {
    fakeApt('case "$*" in install*) exit 100;; esac');
    expect(await install(['broker'])).toBe(100);
    const commands = calls().filter((line) => !line.startsWith('policy'));
    expect(commands.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'apt-get install',
      'dpkg --configure',
      'apt-get update',
      'apt-get install',
    ]);
    expect(existsSync(policy)).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it('refreshes the lists first where they do not know a package', async () => {
    fake('apt-cache', 'exit 100');
    fakeApt('exit 0');
    expect(await install(['broker'])).toBe(0);
    expect(
      calls()
        .filter((line) => line.startsWith('apt-get'))
        .map((line) => line.split(' ')[1]),
    ).toEqual(['update', 'install']);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('on %s ends apt-get and what it began, then puts back', async (signal, status) => {
    fakeApt('sleep 600 & echo $! >"$DIR/script-pid"; echo unpacking; wait');
    const child = begin(['broker']);
    await inTheMiddle(child);
    expect(existsSync(policy)).toBe(true);
    child.kill(signal);
    expect(await ended(child)).toBe(status);
    expect(existsSync(policy)).toBe(false);
    expect(leftovers()).toEqual([]);
    const pid = readFileSync(join(dir, 'script-pid'), 'utf8').trim();
    // it was killed, but the kernel ends it in its own time
    await expect.poll(() => stateOf(pid), { timeout: 20_000 }).toMatch(/^(gone|Z)$/);
  });

  it('after SIGKILL the next run puts back, even one that installs nothing', async () => {
    writeFileSync(policy, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    fakeApt('echo $$ >"$DIR/apt-pid"; echo unpacking; exec sleep 600');
    const child = begin(['broker']);
    await inTheMiddle(child);
    child.kill('SIGKILL');
    await ended(child);
    process.kill(Number(readFileSync(join(dir, 'apt-pid'), 'utf8')), 'SIGKILL');
    expect(readFileSync(policy, 'utf8')).toContain('exit 101');
    expect(await install([])).toBe(0);
    expect(readFileSync(policy, 'utf8')).toBe('#!/bin/sh\nexit 0\n');
    expect(leftovers()).toEqual([]);
  });

  it('after SIGKILL leaves a policy that somebody else has put there since', async () => {
    fakeApt('echo $$ >"$DIR/apt-pid"; echo unpacking; exec sleep 600');
    const child = begin(['broker']);
    await inTheMiddle(child);
    child.kill('SIGKILL');
    await ended(child);
    process.kill(Number(readFileSync(join(dir, 'apt-pid'), 'utf8')), 'SIGKILL');
    writeFileSync(policy, '#!/bin/sh\nexit 104\n');
    await install([]);
    expect(readFileSync(policy, 'utf8')).toBe('#!/bin/sh\nexit 104\n');
    expect(leftovers()).toEqual([]);
  });

  it('of two set-ups at once the second waits, and the policy is back at the end', async () => {
    fakeApt('echo unpacking; until [ -e "$DIR/go" ]; do sleep 0.05; done');
    const first = begin(['broker']);
    await inTheMiddle(first);
    const second = begin(['other']);
    writeFileSync(join(dir, 'go'), '');
    expect([await ended(first), await ended(second)]).toEqual([0, 0]);
    expect(calls().filter((line) => line.startsWith('policy'))).toEqual(['policy 101', 'policy 101']);
    expect(existsSync(policy)).toBe(false);
  });
});
