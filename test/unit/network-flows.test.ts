import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { Mac } from '../../core/units.ts';
import { createFlowKeeper } from '../../drivers/network/flow-keeper.ts';
import { type Meter, type OpenFlowTool, parseMeters } from '../../drivers/network/openflow-tool.ts';
import { metersOf, type Pipeline, type PipelinePort, pipelineOf } from '../../drivers/network/pipeline.ts';
import { checkRule, matchesOf, portMasks } from '../../drivers/network/security.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const port: PipelinePort = {
  slot: 3,
  ofport: 7,
  mac: '02:00:00:00:00:01' as Mac,
  ips: ['10.0.0.5', 'fd00::5'],
  trunk: false,
  qos: null,
  rules: null,
  local: null,
};
const plain = { antiSpoof: false };

describe('the pipeline', () => {
  it('only switches while nothing is asked of it', () => {
    const { flows, meters } = pipelineOf([port], plain);
    expect(flows.every((flow) => flow.includes('priority=0,'))).toBe(true);
    expect(flows.filter((flow) => flow.includes('NORMAL'))).toHaveLength(1);
    expect(meters.size).toBe(0);
  });

  it.each([
    ['egress', ['table=1,priority=50,in_port=7', 'table=2,priority=50,in_port=7']],
    ['ingress', ['table=30,priority=50,dl_dst=02:00:00:00:00:01', 'table=31,priority=50,dl_dst=02:00:00:00:00:01']],
  ] as const)('limits %s by a meter for bits and one for packets', (direction, begins) => {
    const qos = { bitsPerSecond: 10_000_000, packetsPerSecond: 2000, direction };
    const { flows, meters } = pipelineOf([{ ...port, qos }], plain);
    const metered = flows.filter((flow) => flow.includes('meter:'));
    expect(metered.map((flow) => flow.split(',actions')[0]).sort()).toEqual([...begins]);
    expect([...meters.values()]).toEqual([
      { unit: 'kbps', rate: 10_000, burst: 1000 },
      { unit: 'pktps', rate: 2000, burst: 200 },
    ]);
    for (const id of meters.keys()) expect(metered.some((flow) => flow.includes(`meter:${id},`))).toBe(true);
  });

  it('never gives two ports the same meter, nor one that OVS has not', () => {
    const slot = fc.integer({ min: 1, max: 32_767 });
    fc.assert(
      fc.property(slot, slot, (one, other) => {
        const qos = { bitsPerSecond: 1e6, packetsPerSecond: 10, direction: 'both' } as const;
        const [ids, others] = [one, other].map((each) => [...metersOf(each, qos).values()].map(({ id }) => id));
        if (!ids || !others) throw new Error('two are needed');
        expect(new Set(ids).size).toBe(4);
        expect(Math.max(...ids, ...others)).toBeLessThan(262_144);
        if (one !== other) expect(ids.some((id) => others.includes(id))).toBe(false);
      }),
    );
  });

  it('lets a port with its own addresses send, and nothing else of it', () => {
    const { flows } = pipelineOf([port], { antiSpoof: true });
    const admitted = flows.filter((flow) => flow.startsWith('table=0,') && flow.includes('in_port=7'));
    expect(admitted).toContain('table=0,priority=100,in_port=7,actions=drop');
    const passing = admitted.filter((flow) => !flow.endsWith('drop'));
    expect(passing.every((flow) => flow.includes('dl_src=02:00:00:00:00:01'))).toBe(true);
    expect(passing.some((flow) => flow.includes('nw_src=10.0.0.5,'))).toBe(true);
    expect(passing.some((flow) => flow.includes('ipv6_src=fd00::5,'))).toBe(true);
  });

  it('goes from table to table upwards only', () => {
    const qos = { bitsPerSecond: 1e6, packetsPerSecond: 10, direction: 'both' } as const;
    const local = { ofport: 9, mac: '02:00:00:00:00:99' };
    const rules = [{ direction: 'ingress', protocol: 'tcp', ports: { first: 80, last: 443 } }] as const;
    const { flows } = pipelineOf([{ ...port, qos, rules, local }], { antiSpoof: true });
    expect(new Set(flows).size).toBe(flows.length);
    for (const flow of flows) {
      const at = Number(/^table=(\d+)/.exec(flow)?.[1]);
      for (const [, to] of flow.matchAll(/(?:goto_table:|ct\(table=)(\d+)/g)) expect(Number(to)).toBeGreaterThan(at);
    }
  });
});

describe('security rules', () => {
  it('covers a range of ports exactly', () => {
    const value = fc.integer({ min: 0, max: 65_535 });
    fc.assert(
      fc.property(value, value, value, (one, other, probe) => {
        const [first, last] = one < other ? [one, other] : [other, one];
        const masks = portMasks(first, last).map((text) => text.split('/').map(Number) as [number, number]);
        for (const each of [first, last, probe, first - 1, last + 1]) {
          if (each < 0 || each > 65_535) continue;
          const hits = masks.filter(([match, mask]) => (each & mask) === match).length;
          expect(hits).toBe(each >= first && each <= last ? 1 : 0);
        }
        expect(masks.length).toBeLessThanOrEqual(30);
      }),
    );
  });

  it('matches the other side by the direction', () => {
    const remote = '10.0.0.0/8';
    expect(matchesOf({ direction: 'ingress', protocol: 'udp', remote })).toEqual(['udp,nw_src=10.0.0.0/8']);
    expect(matchesOf({ direction: 'egress', protocol: 'any', remote })).toEqual(['ip,nw_dst=10.0.0.0/8']);
  });

  it.each([
    [{ protocol: 'icmp', ports: { first: 1, last: 2 } }, 'rules[0].ports'],
    [{ protocol: 'tcp', ports: { first: 5, last: 2 } }, 'rules[0].ports'],
    [{ protocol: 'tcp', remote: '10.0.0.0/8,actions=drop' }, 'rules[0].remote'],
  ] as const)('refuses %j', (rule, field) => {
    expect(() => checkRule({ direction: 'ingress', ...rule }, 'rules[0]')).toThrow(expect.objectContaining({ field }));
  });
});

describe('parseMeters', () => {
  it('reads what ovs-ofctl prints', () => {
    const text = `OFPST_METER_CONFIG reply (OF1.4) (xid=0x2):
meter=6 pktps burst stats bands=
type=drop rate=500 burst_size=50

meter=5 kbps burst stats bands=
type=drop rate=5000 burst_size=500
`;
    expect(parseMeters(text)).toEqual(
      new Map([
        [6, { unit: 'pktps', rate: 500, burst: 50 }],
        [5, { unit: 'kbps', rate: 5000, burst: 500 }],
      ]),
    );
  });
});

/** A bridge in memory. */
function fakeBridge() {
  const calls: string[] = [];
  const meters = new Map<number, Meter>();
  let broken = false;
  const say = async (call: string): Promise<void> => {
    calls.push(call);
    if (broken) throw new DpuError('unavailable', 'no switch');
  };
  const tool: OpenFlowTool = {
    replaceFlows: (flows) => say(`flows ${flows.length}`),
    async meters() {
      await say('meters');
      return new Map(meters);
    },
    async setMeter(id, meter, exists) {
      await say(`${exists ? 'mod' : 'add'} ${id}`);
      meters.set(id, meter);
    },
    async deleteMeter(id) {
      await say(`del ${id}`);
      meters.delete(id);
    },
  };
  return {
    tool,
    meters,
    taken: () => calls.splice(0),
    breakIt: (to: boolean) => {
      broken = to;
    },
  };
}

describe('the flow keeper', () => {
  const meter: Meter = { unit: 'kbps', rate: 10, burst: 1 };
  const some: Pipeline = { flows: ['a', 'b'], meters: new Map([[4, meter]]) };

  it('makes meters before the flows that use them, and takes stale ones away behind', async () => {
    const bridge = fakeBridge();
    bridge.meters.set(9, meter);
    const clock = virtualClock();
    let wanted: Pipeline | null = some;
    const keeper = createFlowKeeper({
      tool: bridge.tool,
      wanted: () => wanted,
      clock,
      log: silentLog,
      intervalMs: 1000,
    });
    await keeper.apply();
    expect(bridge.taken()).toEqual(['meters', 'add 4', 'flows 2', 'del 9']);
    expect(keeper.isApplied).toBe(true);
    await keeper.apply();
    expect(bridge.taken()).toEqual([]);
    wanted = { flows: ['a', 'b'], meters: new Map([[4, { ...meter, rate: 20 }]]) };
    await keeper.apply();
    expect(bridge.taken()).toEqual(['mod 4']);
    wanted = { flows: ['a'], meters: new Map() };
    await keeper.apply();
    expect(bridge.taken()).toEqual(['flows 1', 'del 4']);
    keeper.forget();
    expect(keeper.isApplied).toBe(false);
    await keeper.apply();
    expect(bridge.taken()).toEqual(['meters', 'flows 1']);
    keeper.close();
  });

  it('says what failed, and tries again by itself after a touch', async () => {
    const bridge = fakeBridge();
    const clock = virtualClock();
    const keeper = createFlowKeeper({ tool: bridge.tool, wanted: () => some, clock, log: silentLog, intervalMs: 9000 });
    bridge.breakIt(true);
    await expect(keeper.apply()).rejects.toMatchObject({ code: 'unavailable' });
    expect(keeper.isApplied).toBe(false);
    keeper.touch();
    await clock.drive(clock.sleep(100));
    bridge.breakIt(false);
    await clock.drive(clock.sleep(3000));
    expect(keeper.isApplied).toBe(true);
    bridge.taken();
    await clock.drive(clock.sleep(20_000));
    expect(bridge.taken()).toEqual(['meters', 'flows 2', 'meters', 'flows 2']);
    keeper.close();
  });
});
