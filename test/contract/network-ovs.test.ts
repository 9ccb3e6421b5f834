import { afterAll, beforeAll, describe } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import type { RepresentorLookup } from '../../drivers/network/representors.ts';
import { systemClock } from '../../kit/clock.ts';
import { addNamespace, type TestNamespace } from '../support/netns.ts';
import { haveNamespaces, haveOvs, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { networkBinderContract, type Representor } from './network-binder.suite.ts';
import { instance, node } from './samples.ts';

const names = ['pf0rep0', 'pf1rep0'] as const;
const ports = ['44444444-4444-4444-8444-444444444444', '66666666-6666-4666-8666-666666666666'].map((id) =>
  asId<PortId>(id),
);
const [first, second] = ports.map(
  (port, index): Representor => ({ id: nicFunctionId(instance, port), representor: names[index] ?? '' }),
);

/** What devlink would say: the two representors of a host's virtual functions. */
const lookup: RepresentorLookup = {
  list: async () =>
    names.map((netdev, pfnum) => ({
      netdev,
      identity: { switchId: 'aa00', controller: 1, flavour: 'pcipf', pfnum, vfnum: null, sfnum: null },
    })),
};

function contract(name: string, switched: () => TestSwitch, representors?: RepresentorLookup): void {
  networkBinderContract(name, async () => {
    const { ovsdb, bridge, vsctl } = switched();
    if (!first || !second) throw new Error('two functions are needed');
    const open = (): OvsNetwork =>
      createOvsNetworkBinder({
        ovsdb,
        bridge,
        node,
        flows: 'ours',
        clock: systemClock,
        log: silentLog,
        ...(representors ? { representors } : {}),
      });
    let network = open();
    return {
      network,
      functions: [first, second],
      plantForeign: async () => {
        await vsctl('add-port', bridge, 'foreign0', '--', 'set', 'interface', 'foreign0', 'type=internal');
        return asId<PortId>('foreign0');
      },
      reopen: async () => {
        await network.close();
        network = open();
        return network;
      },
      close: async () => {
        await network.close();
        for (const each of ['foreign0', ...names]) await vsctl('--if-exists', 'del-port', bridge, each);
      },
    };
  });
}

describe.runIf(haveOvs('NetworkBinder on Open vSwitch'))('without rights', () => {
  let ovs: TestSwitch;
  beforeAll(async () => {
    ovs = await startSwitch({ datapath: 'dummy' });
  });
  afterAll(() => ovs.stop());
  contract('Open vSwitch, dummy datapath', () => ovs, lookup);
});

describe.runIf(haveNamespaces('NetworkBinder on Open vSwitch with real devices'))('in a network namespace', () => {
  let soc: TestNamespace;
  let ovs: TestSwitch;
  beforeAll(async () => {
    soc = await addNamespace();
    for (const tap of names) await soc.ip('tuntap', 'add', tap, 'mode', 'tap');
    ovs = await startSwitch({ datapath: 'netdev', netns: soc.name });
  });
  afterAll(async () => {
    await ovs.stop();
    await soc.remove();
  });
  contract('Open vSwitch, userspace datapath', () => ovs);
});
