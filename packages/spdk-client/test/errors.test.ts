import { expect, it } from 'vitest';
import { isErrno, rpcErrorOf } from '../src/errors.ts';

it.each([
  [-32700, 'ParseError', 'rpc-parse'],
  [-32600, 'InvalidRequestError', 'rpc-invalid-request'],
  [-32601, 'MethodNotFoundError', 'rpc-method-not-found'],
  [-32602, 'InvalidParamsError', 'rpc-invalid-params'],
  [-32603, 'InternalError', 'rpc-internal'],
  [-1, 'WrongStateError', 'rpc-wrong-state'],
  [-19, 'ErrnoError', 'rpc-errno'],
  [-4000, 'ErrnoError', 'rpc-errno'],
  [-32000, 'RpcError', 'rpc-other'],
  [7, 'RpcError', 'rpc-other'],
])('%i becomes %s', (rpcCode, name, code) => {
  const error = rpcErrorOf({ method: 'm', rpcCode, peerMessage: 'No such device\n' });
  expect(error).toMatchObject({ name, code, rpcCode, method: 'm' });
  expect(error.message).toBe(`m: No such device (${rpcCode})`);
});

it('names error numbers', () => {
  const of = (rpcCode: number) => rpcErrorOf({ method: 'm', rpcCode, peerMessage: '' });
  expect(isErrno(of(-19), 'ENODEV')).toBe(true);
  expect(isErrno(of(-12), 'ENODEV')).toBe(false);
  expect(isErrno(of(-999), 'ERRNO_999')).toBe(true);
  expect(isErrno(new Error('ENODEV'), 'ENODEV')).toBe(false);
});
