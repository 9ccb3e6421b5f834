/** A process that accepts a build with a secret, begins a step, and is killed: `store-child.ts DIRECTORY MODE`. */
import { systemClock } from '../../kit/clock.ts';
import { openStore } from '../../soc-daemon/store/store.ts';
import { buildRequest, operationId, testKey } from './store.ts';

const [directory = '', mode = ''] = process.argv.slice(2);
const store = await openStore({
  file: `${directory}/store.db`,
  key: testKey,
  clock: systemClock,
  mode: mode === 'flushed' ? 'flushed' : 'inline',
  hooks: {
    afterWrite: (command) => {
      if (command.type === 'write') process.kill(process.pid, 'SIGKILL');
    },
  },
});
await store.accept(
  buildRequest(1, {
    secrets: [
      { id: 'one', text: 'clear-text-of-a-secret', keepWith: 'operation' },
      { id: 'two', text: 'clear-text-of-a-secret', keepWith: 'instance' },
    ],
  }),
);
await store.write([
  { type: 'started', operation: operationId(1), input: {}, steps: ['first'] },
  { type: 'step', operation: operationId(1), step: 'first', phase: 'doing', attempts: 1 },
]);
