import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const setup = join(import.meta.dirname, '../../tools/setup.mjs');
const { packagesFor } = await import(join(import.meta.dirname, '../../tools/packages.mjs'));
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'setup-messages-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Runs the set-up where the PATH has nothing but a dpkg-query that calls these packages installed. */
function run(installed: readonly string[], args: readonly string[]): { status: number | null; output: string } {
  const lines = installed.map((name) => `echo "${name} installed"`).join('\n');
  writeFileSync(join(dir, 'dpkg-query'), `#!/bin/sh\n${lines}\nexit 1\n`);
  chmodSync(join(dir, 'dpkg-query'), 0o755);
  const { status, stdout, stderr } = spawnSync(process.execPath, [setup, ...args], {
    encoding: 'utf8',
    env: { PATH: dir },
  });
  return { status, output: stdout + stderr };
}

describe('the set-up on a machine without apt', () => {
  it('is content with what is there, without looking further', () => {
    const { status, output } = run(packagesFor('demo'), ['demo']);
    expect(output).toContain('setup: Debian packages: up to date');
    expect(status).toBe(0);
  });

  it('names what is missing, why it is wanted, and how to go on', () => {
    const { status, output } = run(['systemd', 'openssl', 'python3-oslo.messaging'], ['test']);
    expect(status).toBe(1);
    expect(output).toContain('Debian package rabbitmq-server is missing: the broker');
    expect(output).toContain('--no-broker');
    expect(output).not.toContain('openssl');
    expect(output).not.toContain('    at '); // no stack trace
  });

  it('installs with root only what its own list names', () => {
    const { status, output } = run([], ['--apt', 'something-else']);
    expect(status).not.toBe(0);
    expect(output).toContain('does not list something-else');
  });
});
