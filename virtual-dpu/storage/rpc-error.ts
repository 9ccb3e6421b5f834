/** Codes of JSON-RPC 2.0 section 5.1, as SPDK uses them. */
export const RPC = {
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
} as const;

/** Numbers and texts of Linux' errors (errno-base.h, strerror(3)); SPDK answers the number negated. */
const ERRNO = {
  EPERM: [1, 'Operation not permitted'],
  ENOENT: [2, 'No such file or directory'],
  EIO: [5, 'Input/output error'],
  ENOMEM: [12, 'Cannot allocate memory'],
  EACCES: [13, 'Permission denied'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  ENOTDIR: [20, 'Not a directory'],
  EISDIR: [21, 'Is a directory'],
  EINVAL: [22, 'Invalid argument'],
  ENOSPC: [28, 'No space left on device'],
  EOPNOTSUPP: [95, 'Operation not supported'],
  EALREADY: [114, 'Operation already in progress'],
} as const satisfies Record<string, readonly [number, string]>;

/** An error number by its name. */
export type Errno = keyof typeof ERRNO;

/** An answer that is an error. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** strerror(3) of an error; its code is the negated number unless the method has one for everything. */
export function errno(name: Errno, code?: number): RpcError {
  const [number, text] = ERRNO[name];
  return new RpcError(code ?? -number, text);
}

/** The error that a system call of Node failed with. */
export function errnoOf(error: unknown): RpcError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return errno(isErrno(code) ? code : 'EIO');
}

function isErrno(code: string): code is Errno {
  return Object.hasOwn(ERRNO, code);
}
