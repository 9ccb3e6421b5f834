/** Linux error numbers that SPDK is known to answer with (asm-generic/errno.h), by number. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'EPERM'],
  [2, 'ENOENT'],
  [5, 'EIO'],
  [6, 'ENXIO'],
  [11, 'EAGAIN'],
  [12, 'ENOMEM'],
  [13, 'EACCES'],
  [16, 'EBUSY'],
  [17, 'EEXIST'],
  [19, 'ENODEV'],
  [22, 'EINVAL'],
  [27, 'EFBIG'],
  [28, 'ENOSPC'],
  [30, 'EROFS'],
  [36, 'ENAMETOOLONG'],
  [71, 'EPROTO'],
  [84, 'EILSEQ'],
  [95, 'ENOTSUP'],
  [98, 'EADDRINUSE'],
  [107, 'ENOTCONN'],
  [110, 'ETIMEDOUT'],
  [111, 'ECONNREFUSED'],
  [113, 'EHOSTUNREACH'],
  [114, 'EALREADY'],
  [115, 'EINPROGRESS'],
  [125, 'ECANCELED'],
]);

/** Name of a Linux error number given as it is or negated, `ERRNO_<n>` where the name is not in the table. */
export function errnoName(code: number): string {
  const number = Math.abs(code);
  return NAMES.get(number) ?? `ERRNO_${number}`;
}
