/**
 * Ports bound and unbound one after the other, each waited for until ovs-vswitchd has taken it or let go of it: the NetworkBinder with
 * flows of a controller's, with flows of ours (set for each port), and what a script does with `ovs-vsctl`. One private Open vSwitch on
 * dummy devices. The contenders take turns; the best round counts. Arguments: ports (100), rounds (3).
 */
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { BindSpec } from '../../core/ports/network-binder.ts';
import { asId, type Mac, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder } from '../../drivers/network/binder.ts';
import { systemClock } from '../../kit/clock.ts';
import { instance, markOf, node } from '../contract/samples.ts';
import { startSwitch, type TestSwitch } from '../support/ovs.ts';
import { quantile } from './report.ts';

const [ports = 100, rounds = 3] = process.argv.slice(2).map(Number);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)); // the switch goes with us

interface Turn {
  /** Milliseconds of each. */
  readonly bind: number[];
  readonly unbind: number[];
  /** CPU of this process, in milliseconds; that of programs which it starts does not count. */
  cpu: number;
}

const specs = Array.from({ length: ports }, (_, index): BindSpec => {
  const portId = asId<PortId>(`${String(index).padStart(8, '0')}-4444-4444-8444-444444444444`);
  return {
    portId,
    functionId: nicFunctionId(instance, portId),
    representor: `pf0vf${index}`,
    mac: `02:00:00:00:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}` as Mac,
    mark: markOf('nic', portId),
  };
});

interface Contender {
  bind(spec: BindSpec): Promise<unknown>;
  unbind(spec: BindSpec): Promise<unknown>;
  close(): Promise<void>;
}

function binder(ovs: TestSwitch, flows: 'ours' | 'controller'): Contender {
  const parts = { ovsdb: ovs.ovsdb, bridge: ovs.bridge, node, clock: systemClock, log: silentLog };
  const network = createOvsNetworkBinder({ ...parts, flows });
  return {
    bind: (spec) => network.bind(spec),
    unbind: (spec) => network.unbind(spec.portId),
    close: () => network.close(),
  };
}

/** What a script needs to promise the same: the port with its identity, no error, a number; and nothing of it left. */
function script({ vsctl, bridge }: TestSwitch): Contender {
  return {
    async bind({ representor: name, portId, mac, functionId, mark }) {
      const ids = Object.entries({
        'iface-id': portId,
        'attached-mac': mac,
        'iface-status': 'active',
        'vm-uuid': mark.instance,
        'dpu-function': functionId,
        'dpu-owner': mark.node,
      }).map(([key, value]) => `external_ids:${key}="${value}"`);
      await vsctl('add-port', bridge, name, '--', 'set', 'interface', name, ...ids);
      const [ofport, error] = (await vsctl('get', 'interface', name, 'ofport', 'error')).split('\n');
      if (!(Number(ofport) > 0) || error !== '[]') throw new Error(`port ${name} is not good`);
    },
    unbind: ({ representor }) => vsctl('del-port', bridge, representor),
    close: async () => {},
  };
}

function cpuMs(): number {
  const own = process.cpuUsage();
  return (own.user + own.system) / 1000;
}

async function turn(make: () => Contender): Promise<Turn> {
  const contender = make();
  const result: Turn = { bind: [], unbind: [], cpu: 0 };
  const timed = async (into: number[], work: Promise<unknown>): Promise<void> => {
    const begin = performance.now();
    await work;
    into.push(performance.now() - begin);
  };
  const first = specs[0];
  if (!first) throw new Error('one port at least');
  await contender.bind(first); // connects
  await contender.unbind(first);
  const begin = cpuMs();
  for (const spec of specs) await timed(result.bind, contender.bind(spec));
  for (const spec of specs) await timed(result.unbind, contender.unbind(spec));
  result.cpu = cpuMs() - begin;
  await contender.close();
  return result;
}

const ovs = await startSwitch({ datapath: 'dummy' });
try {
  const contenders: Readonly<Record<string, () => Contender>> = {
    'NetworkBinder, `flows: controller`': () => binder(ovs, 'controller'),
    'NetworkBinder, `flows: ours`': () => binder(ovs, 'ours'),
    '`ovs-vsctl` script': () => script(ovs),
  };
  const best = new Map<string, Turn>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, make] of Object.entries(contenders)) {
      const now = await turn(make);
      const before = best.get(name);
      if (!before || quantile(now.bind, 0.5) < quantile(before.bind, 0.5)) best.set(name, now);
    }
  }
  console.log(`| Contender | Bind, median | 95 % | Unbind, median | 95 % | CPU of the caller, ${ports} of both |`);
  console.log('|---|---|---|---|---|---|');
  for (const [name, { bind, unbind, cpu }] of best) {
    const cells = [bind, unbind].flatMap((each) =>
      [0.5, 0.95].map((share) => `${quantile(each, share).toFixed(1)} ms`),
    );
    console.log(`| ${name} | ${cells.join(' | ')} | ${cpu.toFixed(0)} ms |`);
  }
} finally {
  await ovs.stop();
}
