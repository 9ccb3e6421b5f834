import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Context } from '../../soc-daemon/cli/command.ts';
import { show as showOperation } from '../../soc-daemon/cli/follow.ts';
import { card } from '../../soc-daemon/cli/output.ts';
import { run } from '../../soc-daemon/cli/run.ts';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

let fixture: ApiFixture;
beforeEach(async () => {
  fixture = await startApi();
});
afterEach(() => fixture.close());

async function dpuctl(...argv: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const code = await run(argv, {
    env: { DPUCTL_SOCKET: fixture.address.socket },
    console: { onInput: () => () => {}, write: () => {}, raw: () => {} },
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
      for (const operation of fixture.service.listOperations({ state: 'running' }).operations) {
        fixture.service.end(operation.id, outcome);
      }
    },
    terminal: false,
    signal: new AbortController().signal,
  });
  return { code, stdout, stderr };
}
let outcome: 'succeeded' | 'failed' = 'succeeded';

it('prints aligned tables with a dash for nothing', async () => {
  const { uuid } = fixture.service.addInstance({ name: 'web' });
  const { code, stdout } = await dpuctl('instance', 'list');
  expect(code).toBe(0);
  const [head = '', row = ''] = stdout.split('\n');
  expect(row).toBe(`${uuid}  web   active  up      4c8g    -`);
  expect(head.indexOf('STATE')).toBe(row.indexOf('active'));
});

it('prints what the node answers as json and yaml', async () => {
  const instance = fixture.service.addInstance();
  expect(JSON.parse((await dpuctl('instance', 'show', instance.name, '-o', 'json')).stdout)).toEqual(instance);
  expect((await dpuctl('instance', 'show', instance.uuid, '-o', 'yaml')).stdout).toContain(`uuid: ${instance.uuid}\n`);
});

it('does not pass control characters on to the terminal', async () => {
  fixture.service.addInstance({ name: 'a\u001b[2Jb' });
  expect((await dpuctl('instance', 'list')).stdout).toContain('a?[2Jb');
});

it('shows one thing with a line for each item of its lists', () => {
  expect(card({ name: 'web', interfaces: ['a', 'b'], volumes: [], todo: null })).toBe(
    ['name        web', 'interfaces  a', '            b', 'volumes     -', 'todo        -'].join('\n'),
  );
});

it('tells what an operation resulted in, where that is a word', async () => {
  fixture.service.addInstance({ name: 'web' });
  fixture.service.endAtOnce = false;
  await dpuctl('instance', 'start', 'web', '--no-wait');
  const id = fixture.service.listOperations({}).operations[0]?.id ?? '';
  const operation = { ...fixture.service.end(id, 'succeeded'), result: { snapshot_id: 'snap-1', functions: [] } };
  const showThing = vi.fn();
  showOperation({ showThing } as unknown as Context, operation);
  const [, told] = showThing.mock.calls[0] ?? [];
  expect(told).toMatchObject({ state: 'succeeded', snapshot_id: 'snap-1' });
  expect(told).not.toHaveProperty('functions');
});

it('builds from a file and from options, and follows the operation', async () => {
  fixture.service.endAtOnce = false;
  const file = join(fixture.directory, 'req.yaml');
  writeFileSync(file, 'name: i9\nflavor: 4c8g\n');
  const built = await dpuctl(
    ...['instance', 'build', '--file', file, '--flavor', '8c16g', '--network', 'subnet=net1,mac=FA-16-3E-00-00-09'],
    ...['--volume', 'id=vol-7,bootable'],
  );
  expect(built.code, built.stderr).toBe(0);
  expect(built.stderr).toBe('build running 0/3\nbuild succeeded 3/3\n');
  expect(built.stdout).toMatch(/^state +succeeded$/m);
  expect(fixture.service.submitted.at(-1)?.args).toEqual({
    name: 'i9',
    flavor: '8c16g',
    networks: [{ subnet: 'net1', mac: 'fa:16:3e:00:00:09' }],
    volumes: [{ volume_id: 'vol-7', bootable: true }],
  });
});

it('answers with exit codes', async () => {
  const { uuid } = fixture.service.addInstance();
  expect((await dpuctl('instance', 'stop', uuid, '--timeout', '3')).code).toBe(0);
  expect((await dpuctl('instance', 'show', '00000000-0000-4000-8000-000000000000')).code).toBe(3);
  expect((await dpuctl('instance', 'show', 'nobody')).code).toBe(3);
  fixture.service.endAtOnce = false;
  const unwaited = await dpuctl('instance', 'start', uuid, '--no-wait');
  expect(unwaited.stdout).toMatch(/^state +running$/m);
  outcome = 'failed';
  expect((await dpuctl('instance', 'start', uuid)).code).toBe(1);
  outcome = 'succeeded';
  expect((await dpuctl('node', '--socket', join(fixture.directory, 'none.sock'))).code).toBe(4);
});

it.each([
  ['nonsense'],
  ['instance'],
  ['instance', 'show'],
  ['instance', 'show', 'a', 'b'],
  ['instance', 'list', '--nonsense'],
  ['instance', 'list', '--name', 'x'],
  ['node', '-o', 'xml'],
  ['instance', 'build', '--name', 'a'],
  ['instance', 'build', '--name', 'a', '--flavor', 'b', '--network', 'colour=red'],
  ['node', '--url', 'http://127.0.0.1:1', '--token-file', 'x'],
])('exits with 2 for %s %s %s %s', async (...argv: readonly string[]) => {
  expect(await dpuctl(...argv)).toMatchObject({ code: 2, stdout: '' });
  expect(fixture.service.submitted).toEqual([]);
});

it('answers --help after any known words', async () => {
  for (const words of [[], ['instance'], ['instance', 'build', '--file', 'x'], ['node'], ['completion', 'bash']]) {
    const { code, stdout } = await dpuctl(...words, '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: dpuctl /);
  }
  expect((await dpuctl('nonsense', '--help')).code).toBe(2);
});

it('shows as a table what the node looked at, and what to do', async () => {
  const { node } = fixture.service;
  const since = '2026-11-21T05:00:00Z';
  expect(await dpuctl('doctor')).toMatchObject({ code: 0, stdout: expect.stringContaining('The node is ready: ') });
  fixture.service.platformAway = true;
  const cutOff = await dpuctl('doctor');
  expect(cutOff).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^The node is ready, but its platform can't reach it now\.$/m),
  });
  fixture.service.platformAway = false;
  Object.assign(node, { ready: false, not_ready_reasons: [{ id: 'bmc-unreachable', message: 'it is silent', since }] });
  const { code, stdout } = await dpuctl('doctor');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^ID +STATE +REASON +WHAT +WHAT TO DO$/m);
  expect(stdout).toMatch(/^bmc-unreachable +fail +bmc-unreachable +it is silent +mend it$/m);
  expect(stdout).toMatch(/^The node is not ready\.$/m);
  expect(JSON.parse((await dpuctl('doctor', '-o', 'json')).stdout)).toMatchObject({ ready: false });
  expect((await dpuctl('power')).stdout).toMatch(/^state +off$/m);
});

it('switches maintenance on and off, and shows every list', async () => {
  expect((await dpuctl('maintenance', 'on', '--reason', 'new card')).stdout).toMatch(
    /^enabled +true\nreason +new card$/m,
  );
  expect((await dpuctl('maintenance', 'off')).stdout).toMatch(/^enabled +false$/m);
  for (const words of [['function', 'list'], ['binding', 'list'], ['operation', 'list'], ['audit'], ['node', 'show']]) {
    expect((await dpuctl(...words)).code, words.join(' ')).toBe(0);
  }
});
