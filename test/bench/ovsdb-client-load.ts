/** Loads the cache of `argv[2]` in a process of its own and prints what that took as JSON. Runs with --expose-gc. */
import { createClient } from 'ovsdb-client';
import type { VSwitch } from '../../packages/ovsdb-client/test/vswitch-tables.ts';

const gc = globalThis.gc ?? (() => undefined);
const MIB = 1024 * 1024;
const held = () => {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MIB;
};

const client = createClient({ address: process.argv[2] ?? '' });
await client.echo();
const before = held();
const rssBefore = process.resourceUsage().maxRSS / 1024;
const start = performance.now();
const cache = await client.database<VSwitch>('Open_vSwitch').monitor({
  Port: { indexes: ['name'] },
  Interface: { indexes: ['name', 'external_ids:iface-id'] },
});
const seconds = (performance.now() - start) / 1000;
const rssAfter = process.resourceUsage().maxRSS / 1024;
const after = held();
console.log(
  JSON.stringify({
    ports: cache.table('Port').size,
    interfaces: cache.table('Interface').size,
    seconds,
    heldMiB: after - before,
    peakRssMiB: rssAfter - rssBefore,
  }),
);
await client.close();
