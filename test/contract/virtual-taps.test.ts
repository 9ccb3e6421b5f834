import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTaps, type Tap } from '../../snic-controller/backends/virtual/taps.ts';
import { ensureNetns, ipNetnsExec, removeNetns } from '../../virtual-dpu/netns.ts';
import { canHaveVirtualDpus } from '../support/virtual-dpu.ts';

const module = join(import.meta.dirname, '../../snic-controller/backends/virtual/taps.ts');
const timeoutMs = 20_000;

describe.runIf(canHaveVirtualDpus('taps'))('taps', () => {
  it('are the same seen from their namespace and from outside', async () => {
    const netns = `taps-${process.pid}`;
    const ip = (...args: string[]) => execFileSync('ip', ['-n', netns, ...args]);
    await ensureNetns(netns);
    try {
      const outside = createTaps({ netns, timeoutMs });
      const inside = (command: 'exec' | 'nsenter'): readonly Tap[] => {
        const script = `import { createTaps } from ${JSON.stringify(module)};
          process.stdout.write(JSON.stringify(await createTaps({ timeoutMs: ${timeoutMs} }).list()));`;
        const argv: [string, ...string[]] = [process.execPath, '--input-type=module-typescript', '-e', script];
        const [program = '', ...args] =
          command === 'exec'
            ? ipNetnsExec(netns, ['env', 'PATH=/nowhere', ...argv])
            : ['nsenter', `--net=/run/netns/${netns}`, ...argv];
        return JSON.parse(execFileSync(program, args, { encoding: 'utf8' })) as readonly Tap[];
      };
      await outside.ensure('fn-1' as Tap['id'] & string, 'PF', 2, undefined);
      ip('tuntap', 'add', 'dev', 'pf3rep0', 'mode', 'tap'); // another's, and down
      ip('tuntap', 'add', 'dev', 'other', 'mode', 'tap');
      const expected = await outside.list();
      expect(expected).toEqual([
        { name: 'pf2rep0', type: 'PF', slot: 2, id: 'fn-1', loose: true },
        { name: 'pf3rep0', type: 'PF', slot: 3, id: null, loose: false },
      ]);
      expect(inside('exec')).toEqual(expected); // without `ip`
      expect(inside('nsenter')).toEqual(expected); // whose /sys shows the namespace that it came from
    } finally {
      await removeNetns(netns);
    }
  }, 60_000);
});
