/** A snic-controller that is killed: `snic-child.ts DIR POINT`; ends by SIGKILL at that write or effect, 0 is never. */

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../kit/clock.ts';
import { createLog } from '../../kit/log.ts';
import type { Backend } from '../../snic-controller/backends/backend.ts';
import { createSimBackend } from '../../snic-controller/backends/sim/backend.ts';
import { startProgram } from '../../snic-controller/program.ts';
import type { FunctionStore } from '../../snic-controller/store/store.ts';

const [dir = '', point = '0'] = process.argv.slice(2);
let moments = 0;

function moment(label: string): void {
  moments += 1;
  appendFileSync(join(dir, 'moments'), `${label}\n`);
  if (moments === Number(point)) process.kill(process.pid, 'SIGKILL');
}

function stoppingStore(store: FunctionStore): FunctionStore {
  return {
    ...store,
    put: (record) => {
      moment(`before journal ${record.phase}`);
      store.put(record);
      moment(`after journal ${record.phase}`);
    },
    remove: (id) => {
      moment('before journal gone');
      store.remove(id);
      moment('after journal gone');
    },
  };
}

async function around<Result>(label: string, effect: () => Promise<Result>): Promise<Result> {
  moment(`before ${label}`);
  const result = await effect();
  moment(`after ${label}`);
  return result;
}

function stoppingBackend(backend: Backend): Backend {
  return {
    ...backend,
    make: (...args) => around('make', () => backend.make(...args)),
    plug: (...args) => around('plug', () => backend.plug(...args)),
    unplug: (...args) => around('unplug', () => backend.unplug(...args)),
    destroy: (...args) => around('destroy', () => backend.destroy(...args)),
    change: (...args) => around('change', () => backend.change(...args)),
  };
}

await startProgram({
  stateDir: join(dir, 'state'),
  address: { path: join(dir, 'snic.sock'), mode: 0o600, gid: null },
  maxRequestBytes: 65_536,
  maxConnections: 8,
  log: createLog('warn', 'snic-child'),
  wrapStore: stoppingStore,
  openBackend: async () =>
    stoppingBackend(
      createSimBackend({
        file: join(dir, 'card.db'),
        functions: 4,
        model: 'BF2',
        hostPower: 'on',
        clock: systemClock,
      }),
    ),
});
process.stdout.write('listening\n');
