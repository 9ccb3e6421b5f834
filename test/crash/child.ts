/** A daemon that is killed: `child.ts DIR SCENARIO POINT [FAILING STEP]...`; ends by SIGKILL at the point, or with 3. */

import { startLife } from '../support/crash-life.ts';
import { scenarioOf } from '../support/crash-scenario.ts';

const [dir = '', name = '', point = '', ...failing] = process.argv.slice(2);
const scenario = scenarioOf(name);
let moments = 0;
const life = await startLife({
  dir,
  seed: 'first life',
  scenario,
  failing,
  onMoment: () => {
    moments += 1;
    if (moments === Number(point)) process.kill(process.pid, 'SIGKILL');
  },
});
life.arm();
await life.drive(scenario.submit(life.node.service));
await life.idle();
process.exit(3);
