/**
 * The virtual backend in a process of its own, so that it can be killed in the midst of anything: a line `{call, method, args}` of JSON is carried
 * out, and answered by a line `{call, value}` or `{call, code, message}`. Its options are its argument.
 */
import { createInterface } from 'node:readline';
import { toDpuError } from '../../core/errors.ts';
import { systemClock } from '../../kit/clock.ts';
import { createVirtualBackend } from '../../snic-controller/backends/virtual/backend.ts';

const backend = createVirtualBackend({ ...JSON.parse(process.argv[2] ?? '{}'), clock: systemClock });

process.stdout.on('error', () => process.exit(1)); // who would hear the answers is gone

for await (const line of createInterface({ input: process.stdin })) {
  const { call, method, args } = JSON.parse(line) as {
    call: number;
    method: 'plug';
    args: Parameters<typeof backend.plug>;
  };
  const answer = (rest: object): void => void process.stdout.write(`${JSON.stringify({ call, ...rest })}\n`);
  backend[method](...args).then(
    (value: unknown) => answer({ value }),
    (error: unknown) => {
      const { code, message, cause } = toDpuError(error, method);
      answer({ code, message: `${message} (${String(cause)})` });
    },
  );
}
await backend.close();
