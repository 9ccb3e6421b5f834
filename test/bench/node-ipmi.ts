/**
 * Power status of one BMC, by node-ipmi in an open session and by one ipmitool process a command, in the same run against the same ipmi_sim.
 * The simulator's chassis is a process that it watches itself, and once more a script that it runs for each question, whose start
 * is then most of the time.
 * `node test/bench/node-ipmi.ts` prints a table and a line of JSON.
 */
import {
  createIpmiClient,
  getChassisStatus,
  getDeviceId,
  type IpmiClient,
} from '../../packages/node-ipmi/src/index.ts';
import { type IpmiSim, startIpmiSim } from '../../packages/node-ipmi/test/ipmi-sim.ts';

const ROUNDS = 5;
const OURS = 200;
const THEIRS = 10;

/** Milliseconds a call. */
async function timed(times: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  for (let round = 0; round < times; round += 1) await work();
  return (performance.now() - start) / times;
}

const round3 = (value: number): number => Number(value.toFixed(3));
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

type Row = { readonly name: string; readonly oursMs: number; readonly ipmitoolMs: number; readonly ratio: number };

/** Both clients in turns, so that whatever else the machine does meets both. */
async function compare(
  sim: IpmiSim,
  name: string,
  ours: (bmc: IpmiClient) => Promise<unknown>,
  args: readonly string[],
): Promise<Row> {
  await using bmc = createIpmiClient(sim.options({ cipherSuites: [3] }));
  await bmc.open();
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    a.push(await timed(OURS, () => ours(bmc)));
    b.push(await timed(THEIRS, () => sim.tool(...args)));
  }
  const [oursMs, ipmitoolMs] = [median(a), median(b)];
  return {
    name,
    oursMs: round3(oursMs),
    ipmitoolMs: round3(ipmitoolMs),
    ratio: Number((ipmitoolMs / oursMs).toFixed(1)),
  };
}

const rows: Row[] = [];
const opening: number[] = [];
for (const chassis of ['process', 'script'] as const) {
  const sim = await startIpmiSim({ chassis });
  try {
    rows.push(await compare(sim, `power status, chassis a ${chassis}`, getChassisStatus, ['power', 'status']));
    if (chassis === 'script') continue;
    rows.push(await compare(sim, 'device id', getDeviceId, ['mc', 'info']));
    for (let round = 0; round < 20; round += 1) {
      await using bmc = createIpmiClient(sim.options({ cipherSuites: [3] }));
      opening.push(await timed(1, () => bmc.open()));
    }
  } finally {
    await sim.stop();
  }
}
console.table(rows);
console.log(`a session opens in ${median(opening).toFixed(1)} ms`);
console.log(JSON.stringify({ bench: 'node-ipmi', openMs: round3(median(opening)), rows }));
