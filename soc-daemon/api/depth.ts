import { DpuError } from '../../core/errors.ts';

/** Nesting that a body may have, itself counted: what the platform RPC takes too. */
const maxDepth = 64;

/** Refuses a body that would overflow the stack of whoever walks through it. @throws DpuError `invalid`. */
export function refuseTooDeep(body: object): void {
  let level: object[] = [body];
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > maxDepth) throw new DpuError('invalid', `the body is nested deeper than ${maxDepth} levels`);
    level = level.flatMap((each) =>
      Object.values(each).filter((part): part is object => typeof part === 'object' && part !== null),
    );
  }
}
