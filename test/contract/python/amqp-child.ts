/**
 * A daemon in a process of its own, to be killed: `amqp-child.ts URL DIR before|after|never`. With `before` it hangs when a build
 * was received and nothing is journaled, with `after` when it is journaled and the message not acknowledged.
 */
import { join } from 'node:path';
import { sqliteWorldStore } from '../../../drivers/sim/sqlite-world-store.ts';
import { amqpWorld, startAmqpNode } from './amqp-node.ts';

const [, , url = '', dir = '', hang = 'never'] = process.argv;

function forever(): Promise<never> {
  console.log('hangs');
  return new Promise(() => {});
}

await startAmqpNode({
  url,
  dir,
  world: amqpWorld({}, sqliteWorldStore(join(dir, 'world.db'))),
  around: (service) => ({
    ...service,
    async submit(method, args, caller) {
      if (hang === 'before') return forever();
      const operation = await service.submit(method, args, caller);
      return hang === 'after' ? forever() : operation;
    },
  }),
});
console.log('ready');
