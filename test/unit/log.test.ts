/** What a line of the log holds, and what it never holds. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { Log } from '../../core/ports/log.ts';
import { createLog } from '../../kit/log.ts';

describe('the log', () => {
  let folder: string;
  let file: string;
  let descriptor: number;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'log-'));
    file = join(folder, 'log');
    descriptor = openSync(file, 'a');
  });
  afterEach(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true, force: true });
  });

  const make = (level: 'debug' | 'info' | 'warn' | 'error' = 'debug'): Log => createLog(level, 'test', descriptor);
  const lines = (): Record<string, unknown>[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it('writes one JSON line an event, with the level as a word and the time', () => {
    make().info('instance is built', { instance: 'i1', note: 'two\nlines' });
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(2);
    const [line] = lines();
    expect(line).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      service: 'test',
      message: 'instance is built',
      instance: 'i1',
      note: 'two\nlines',
    });
  });

  it('leaves out what is below the level, in children too', () => {
    const log = make('warn');
    for (const each of [log, log.child({ operation: 'o1' })]) {
      each.debug('d');
      each.info('i');
      each.warn('w');
      each.error('e');
    }
    expect(lines().map((line) => [line.message, line.operation])).toEqual([
      ['w', undefined],
      ['e', undefined],
      ['w', 'o1'],
      ['e', 'o1'],
    ]);
  });

  it('gives a child the fields of its parents', () => {
    make().child({ operation: 'o1' }).child({ step: 's1' }).warn('step failed', { attempt: 2 });
    expect(lines()).toEqual([expect.objectContaining({ operation: 'o1', step: 's1', attempt: 2 })]);
  });

  it('writes an error as its code, and each message of its causes once', () => {
    const lowest = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const middle = new Error('asking the BMC failed', { cause: new Error('connect ECONNREFUSED', { cause: lowest }) });
    const error = new DpuError('unavailable', 'powering on failed', { field: 'power', cause: middle });
    make().error('step failed', { error });
    expect(lines()[0]?.error).toEqual({
      code: 'unavailable',
      message: 'powering on failed',
      field: 'power',
      causes: ['asking the BMC failed', 'connect ECONNREFUSED'],
    });
    make().error('broker is away', { error: lowest });
    expect(lines()[1]?.error).toEqual({ name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' });
  });

  it('comes to an end with an error that is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    make().error('odd', { error });
    expect(lines()[0]?.error).toEqual({ name: 'Error', message: 'round' });
  });

  it('writes everything else as it is, at any depth', () => {
    const fields = { n: 1, no: null, yes: true, list: [1, [{ a: 'b' }]], at: new Date(0), password: null, bypass: 'x' };
    make().info('fields', fields);
    expect(lines()[0]).toMatchObject({ ...fields, at: '1970-01-01T00:00:00.000Z' });
  });

  it('comes to an end with a thing that holds itself', () => {
    const thing: Record<string, unknown> = { name: 'round' };
    thing.self = { inner: [thing] };
    make().info('odd', { thing });
    expect(lines()[0]?.thing).toEqual({ name: 'round', self: { inner: ['[...]'] } });
  });

  it('never writes a secret', () => {
    const secret = 'hunter2';
    const log = make();
    const names = ['password', 'admin_pass', 'new_password', 'token', 'secret', 'userdata', 'connection_info'];
    for (const name of names) {
      log.info('request', { [name]: secret, args: { [name]: secret } });
      log.child({ [name]: secret }).info('child');
    }
    log.info('deep', { steps: [{ input: { volumes: [{ connection_info: { data: secret } }] } }] });
    log.info('list', { args: [{ auth_password: secret }, [{ token: [secret] }]] });
    log.info('address', { peers: [`rabbit://u:${secret}@h/`], url: new URL(`http://u:${secret}@h/`) });
    log.info('another name', { accessToken: secret, user_password: { clear: secret } });
    log.child({ request: { args: { userdata: { admin_pass: secret } } } }).info('deep child');
    log.info('error inside', { results: [{ error: new Error(`to amqp://u:${secret}@h failed`) }] });
    const error = new Error(`cannot reach rabbit://user:${secret}@broker:5672/`, {
      cause: new Error(`bad amqp://u:${secret}@h, rabbit://u:${secret}@i`),
    });
    log.warn('broker is away', { error });
    expect(readFileSync(file, 'utf8')).not.toContain(secret);
    expect(lines().at(-1)?.error).toMatchObject({ message: 'cannot reach rabbit://***@broker:5672/' });
    expect(lines()).toHaveLength(names.length * 2 + 7);
  });
});
