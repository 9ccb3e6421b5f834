import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeStateDir, nameOf, socketPath } from '../../virtual-dpu/paths.ts';
import {
  endNamed,
  endProcess,
  isAlive,
  livingProcess,
  logFile,
  markedProcesses,
  readProcess,
  runTool,
  spawnDetached,
  startTime,
  waitFor,
  waitForSocket,
} from '../../virtual-dpu/process.ts';

let stateDir: string;

beforeEach(async () => {
  stateDir = await makeStateDir(await mkdtemp(join(tmpdir(), 'vdpu-')));
});

afterEach(async () => {
  for (const record of await markedProcesses(stateDir)) await endProcess(record, { signal: 'SIGKILL' });
  await rm(stateDir, { recursive: true, force: true });
});

it('starts a program that is found again by its name, and ends it', async () => {
  const record = await spawnDetached({ stateDir, name: 'sleeper', argv: ['sleep', '600'] });
  expect(isAlive(record)).toBe(true);
  expect(await livingProcess(stateDir, 'sleeper')).toEqual(record);
  await endNamed(stateDir, 'sleeper');
  expect(isAlive(record)).toBe(false);
  expect(await readProcess(stateDir, 'sleeper')).toBeUndefined();
  await endNamed(stateDir, 'sleeper');
});

it('leaves a pid alone that has a new owner', async () => {
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  try {
    const pid = stranger.pid ?? 0;
    await writeFile(join(stateDir, 'run/sleeper.pid'), `${pid} 1\n`);
    expect(await livingProcess(stateDir, 'sleeper')).toBeUndefined();
    await endNamed(stateDir, 'sleeper');
    expect(startTime(pid)).toBeDefined();
  } finally {
    stranger.kill('SIGKILL');
  }
});

it('kills what does not end by itself', async () => {
  const record = await spawnDetached({
    stateDir,
    name: 'stubborn',
    argv: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'],
  });
  const log = logFile(stateDir, 'stubborn');
  await waitFor(async () => (await readFile(log, 'utf8')).includes('ready'), { what: 'the trap' });
  await endProcess(record, { graceMs: 100 });
  expect(isAlive(record)).toBe(false);
});

it('says what a program that died at once had to say', async () => {
  const owner = { stateDir, name: 'dead' };
  const record = await spawnDetached({ ...owner, argv: ['sh', '-c', 'echo no such bridge >&2; exit 1'] });
  const waiting = waitForSocket(join(stateDir, 'run/never.sock'), { owner: { ...owner, record } });
  await expect(waiting).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('no such bridge'),
  });
});

it('waits for a listener, not for a socket file that a dead one left', async () => {
  const path = socketPath(stateDir, 'run/x.sock');
  await runTool(['python3', '-c', 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])', path]);
  expect(existsSync(path)).toBe(true);
  await expect(waitForSocket(path, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
  await rm(path);
  const server = createServer();
  const waiting = waitForSocket(path);
  server.listen(path);
  await waiting;
  server.close();
});

it('gives a program a standard input that stays open', async () => {
  const record = await spawnDetached({ stateDir, name: 'reader', argv: ['cat'], stdin: 'open' });
  await writeFile(join(stateDir, 'run/reader.stdin'), 'hello\n');
  const log = logFile(stateDir, 'reader');
  await waitFor(async () => (await readFile(log, 'utf8')).includes('hello'), { what: 'the echo' });
  expect(isAlive(record)).toBe(true);
  await endNamed(stateDir, 'reader');
  expect(existsSync(join(stateDir, 'run/reader.stdin'))).toBe(false);
});

it('finds the children of what it started, though no pid file tells of them', async () => {
  const record = await spawnDetached({ stateDir, name: 'parent', argv: ['sh', '-c', 'setsid sleep 600 & wait'] });
  await waitFor(async () => (await markedProcesses(stateDir)).length === 2, { what: 'the child' });
  await endProcess(record, { signal: 'SIGKILL' });
  expect(await markedProcesses(stateDir)).toHaveLength(1);
  expect(await markedProcesses(`${stateDir}0`)).toHaveLength(0);
});

it('tells a missing program, a failing one and a slow one apart', async () => {
  await expect(spawnDetached({ stateDir, name: 'x', argv: ['no-such-program'] })).rejects.toMatchObject({
    code: 'unavailable',
  });
  await expect(runTool(['no-such-program'])).rejects.toMatchObject({ code: 'unavailable' });
  await expect(runTool(['sh', '-c', 'echo sorry >&2; exit 3'])).rejects.toMatchObject({
    code: 'hardware',
    message: expect.stringContaining('sorry'),
  });
  await expect(runTool(['sleep', '60'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
  expect(await runTool(['echo', 'fine'])).toBe('fine\n');
});

it('refuses the path of a socket that the kernel would not bind', () => {
  expect(socketPath('/run', 'a'.repeat(102))).toHaveLength(107);
  expect(() => socketPath('/run', 'a'.repeat(103))).toThrow(/108 bytes/);
});

it('names a virtual DPU by its state directory', () => {
  expect(nameOf('/srv/a')).toBe(nameOf('/srv/a'));
  expect(nameOf('/srv/a')).not.toBe(nameOf('/srv/b'));
  expect(nameOf('/srv/a')).toMatch(/^vdpu-[0-9a-f]{8}$/);
});
