/** Troubles that last are told at the change. */
import { expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { Log } from '../../core/ports/log.ts';
import { tellTroubles } from '../../drivers/network/troubles.ts';

it('tells once that it began, that it became another, and that it is over', () => {
  const lines: string[] = [];
  const log: Log = {
    debug: () => undefined,
    info: (message) => void lines.push(`info ${message}`),
    warn: (message, fields) => void lines.push(`warn ${message} ${fields?.about ?? '-'}`),
    error: () => undefined,
    child: () => log,
  };
  const { failed, over } = tellTroubles(log);
  const away = () => new DpuError('unavailable', 'the database does not answer');
  for (let time = 0; time < 5; time += 1) failed('not set', away());
  failed('not set', away(), 'net1');
  failed('not set', new DpuError('unavailable', 'ovs-vswitchd is away'));
  over('not set');
  over('not set');
  over('never failed');
  failed('not set', away(), 'net1');
  failed('not set', away());
  expect(lines).toEqual([
    'warn not set -',
    'warn not set net1',
    'warn not set -',
    'info trouble is over',
    'warn not set -',
  ]);
});
