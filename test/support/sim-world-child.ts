/** A process that makes functions in a world's file for ever, and says each that it made, until it is killed. */

import { asId, type VolumeId } from '../../core/units.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { createSimWorld } from '../../drivers/sim/world.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { diskSpec } from '../contract/samples.ts';

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('usage: sim-world-child FILE');
const world = createSimWorld({
  clock: systemClock,
  random: systemRandom,
  store: sqliteWorldStore(file),
  options: { functions: 100_000 },
});
const { size } = world.state.functions;
for (let index = size; ; index += 1) {
  const volume = asId<VolumeId>(`${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`);
  const { id } = await world.snic.ensureFunction(diskSpec(volume));
  process.stdout.write(`${id}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
