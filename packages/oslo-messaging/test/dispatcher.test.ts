import { describe, expect, it } from 'vitest';
import { type Endpoint, findHandler, isVersionCompatible } from '../src/dispatcher.ts';
import { decodeFailure, encodeFailure, RpcFailure, toFailureParts } from '../src/failure.ts';
import { createRecentIds } from '../src/recent-ids.ts';

const answer = (text: string) => async () => text;
const endpoints: Endpoint[] = [
  { version: '6.1', methods: { build: answer('six'), _hidden: answer('no') } },
  { version: '5.13', methods: { build: answer('five'), old: answer('old') } },
  { version: '1.1', namespace: 'baseapi', methods: { ping: answer('pong') } },
];

async function dispatch(method: string, version: string, namespace: string | null = null) {
  try {
    return await findHandler(endpoints, { method, version, namespace })({}, {} as never);
  } catch (error) {
    return (error as RpcFailure).rpcClass;
  }
}

describe('dispatch', () => {
  it.each([
    ['6.1', '6.0', true],
    ['6.1', '6.1', true],
    ['6.1', '6.2', false],
    ['6.1', '5.0', false],
    ['1.10', '1.9', true],
    ['1.9', '1.10', false],
    ['1.1', '1.1.1', false],
    ['1.1.2', '1.1.1', true],
    ['1.2', '1.1.9', true],
  ])('an endpoint of %s serves %s: %s', (offered, requested, expected) => {
    expect(isVersionCompatible(offered, requested)).toBe(expected);
  });

  it.each([
    ['build', '6.0', null, 'six'],
    ['build', '5.13', null, 'five'],
    ['old', '6.0', null, 'NoSuchMethod'],
    ['build', '7.0', null, 'UnsupportedVersion'],
    ['ping', '1.0', null, 'UnsupportedVersion'],
    ['ping', '1.0', 'baseapi', 'pong'],
    ['_hidden', '6.0', null, 'NoSuchMethod'],
    ['toString', '6.0', null, 'NoSuchMethod'],
    ['__proto__', '6.0', null, 'NoSuchMethod'],
  ])('%s %s of namespace %s: %s', async (method, version, namespace, expected) => {
    expect(await dispatch(method, version, namespace)).toBe(expected);
  });
});

describe('failure', () => {
  it('keeps class, module, message and kwargs over the wire', () => {
    const parts = { rpcClass: 'NotFound', rpcModule: 'a.b', message: 'ünknown', rpcKwargs: { code: 'x' } };
    expect(decodeFailure(encodeFailure(new RpcFailure(parts)))).toMatchObject({
      rpcClass: 'NotFound',
      rpcModule: 'a.b',
      message: 'ünknown',
      kwargs: { code: 'x' },
    });
  });

  it('tells nothing of an error that was not meant for the caller', () => {
    const text = encodeFailure(toFailureParts(new Error('password=hunter2')));
    expect(text).not.toContain('hunter2');
    expect(JSON.parse(text)).toMatchObject({ class: 'InternalError', tb: [] });
  });

  it.each(['', 'x', '[]', 'null', '{}', '{"class":1,"kwargs":[]}', 7, null])('reads %s without throwing', (failure) => {
    expect(typeof decodeFailure(failure).rpcClass).toBe('string');
  });
});

describe('recent ids', () => {
  it('forgets the oldest beyond its limit', () => {
    const ids = createRecentIds(2);
    for (const id of ['a', 'b', 'a', 'c']) ids.add(id);
    expect(['a', 'b', 'c'].map((id) => ids.has(id))).toEqual([true, false, true]);
  });
});
