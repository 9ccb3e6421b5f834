import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { parseCommand } from '../../virtual-dpu/cli.ts';

const root = join(import.meta.dirname, '../..');

it('reads what up shall bring', () => {
  const argv = [
    'up',
    '--memory',
    '512',
    '--cpus',
    '2',
    '--serial-number',
    'SN-1',
    '--accel',
    'auto',
    '--arch',
    'aarch64',
  ];
  const more = ['--front', 'vhost-user', '--ovn', '--no-tenant', '--state', 'a/b', '-o', 'json'];
  expect(parseCommand([...argv, ...more])).toEqual({
    kind: 'up',
    json: true,
    options: {
      stateDir: resolve('a/b'),
      memoryMib: 512,
      cpus: 2,
      serialNumber: 'SN-1',
      accel: 'auto',
      arch: 'aarch64',
      front: 'vhost-user',
      ovn: true,
      tenant: false,
    },
  });
  expect(parseCommand(['up'])).toEqual({ kind: 'up', json: false, options: { stateDir: resolve('.virtual-dpu') } });
});

it('reads the other commands', () => {
  const stateDir = resolve('.virtual-dpu');
  expect(parseCommand([])).toEqual({ kind: 'help' });
  expect(parseCommand(['down', '--help'])).toEqual({ kind: 'help' });
  expect(parseCommand(['restart', 'bmc'])).toEqual({ kind: 'restart', stateDir, part: 'bmc' });
  expect(parseCommand(['exec', '--tenant', '--', 'ip', '-br', 'link'])).toEqual({
    ...{ kind: 'exec', stateDir, tenant: true },
    argv: ['ip', '-br', 'link'],
  });
  expect(parseCommand(['console', '--log'])).toEqual({ kind: 'console', stateDir, log: true });
  expect(parseCommand(['image', 'small', '--state', 'x'])).toEqual({ kind: 'image', argv: ['small', '--state', 'x'] });
});

it.each([
  ['there is no command start', 'start'],
  ['the command comes first', '--state x up'],
  ["unknown option '--foo'", 'up --foo'],
  ['--memory is a whole number, not 1G', 'up --memory 1G'],
  ['64 to 1048576 MiB', 'up --memory 1'],
  ['1 to 64 CPUs', 'up --cpus 0'],
  ['a serial number is', 'up --serial-number a,b'],
  ['a uuid is', 'up --uuid 1'],
  ['--accel is one of tcg, kvm, auto, not xen', 'up --accel xen'],
  ['--arch is one of', 'up --arch arm'],
  ['--front is one of', 'up --front scsi'],
  ['--output is one of', 'status -o yaml'],
  ['--state needs a value', 'status --state='],
  ['down takes no now', 'down now'],
  ['restart needs one of', 'restart everything'],
  ['exec needs a program', 'exec'],
  ["unknown option '--memory'", 'down --memory 1'],
])('refuses: %s', (message, line) => {
  expect(() => parseCommand(line.split(' '))).toThrow(message);
});

it('runs by its bin with any Node, and says in its exit status what was wrong', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'virtual-dpu/bin.mjs'), ...args], { encoding: 'utf8' });
  expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: npx virtual-dpu') });
  expect(run('up', '--memory', 'x')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining('--help'),
  });
  expect(run('status', '--state', join(root, 'no-such-directory'))).toMatchObject({ status: 3 });
  expect(run('restart', 'bmc', '--state', join(root, 'no-such-directory'))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('no virtual DPU is up'),
  });
});
