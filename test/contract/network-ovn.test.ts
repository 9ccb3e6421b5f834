/** Beside ovn-controller, which owns the flows: a port is good when it says so. Needs no rights. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nicFunctionId } from '../../core/derived-ids.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { BindSpec } from '../../core/ports/network-binder.ts';
import { asId, type PortId } from '../../core/units.ts';
import { createOvsNetworkBinder, type OvsNetwork } from '../../drivers/network/binder.ts';
import { systemClock } from '../../kit/clock.ts';
import { haveOvn, startOvn, type TestOvn } from '../support/ovn.ts';
import { haveOvs, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';
import { instance, macOf, markOf, node, portId, rejection } from './samples.ts';

const unknownPort = asId<PortId>('77777777-7777-4777-8777-777777777777');

function specOf(port: PortId, representor: string): BindSpec {
  return {
    portId: port,
    functionId: nicFunctionId(instance, port),
    representor,
    mac: macOf(port),
    mark: markOf('nic', port),
  };
}

const runs = haveOvs('NetworkBinder beside OVN') && haveOvn('NetworkBinder beside OVN');

describe.runIf(runs)('NetworkBinder beside OVN', () => {
  let ovs: TestSwitch;
  let ovn: TestOvn;
  const opened: OvsNetwork[] = [];
  const open = (bindTimeoutMs: number): OvsNetwork => {
    const parts = { ovsdb: ovs.ovsdb, bridge: ovs.bridge, node, clock: systemClock, log: silentLog };
    const network = createOvsNetworkBinder({ ...parts, flows: 'controller', waitOvnInstalled: true, bindTimeoutMs });
    opened.push(network);
    return network;
  };
  const isUp = async (): Promise<boolean> => (await ovn.sbctl('get', 'port_binding', portId, 'up')).trim() === 'true';

  beforeAll(async () => {
    ovs = await startSwitch({ datapath: 'dummy' });
    ovn = await startOvn(ovs);
    await ovn.nbctl(
      'ls-add',
      'net1',
      '--',
      'lsp-add',
      'net1',
      portId,
      '--',
      'lsp-set-addresses',
      portId,
      macOf(portId),
    );
  });
  afterAll(async () => {
    for (const each of opened) await each.close();
    await ovn.stop();
    await ovs.stop();
  });

  it('binds when ovn-controller has installed the flows, which stay its own', async () => {
    const network = open(20_000);
    expect(await network.bind(specOf(portId, 'pf0rep0'))).toMatchObject({ healthy: true });
    await until('the port is up', isUp);
    expect(await ovs.ofctl('dump-flows')).toContain('metadata=');
    expect(await ovs.ofctl('dump-meters')).not.toContain('meter=');
    await network.unbind(portId);
    await until('the port is down', async () => !(await isUp()));
    expect(await network.list()).toEqual([]);
  });

  it('ends at its deadline with a port that OVN does not know, which can be taken away', async () => {
    const network = open(300);
    await rejection(network.bind(specOf(unknownPort, 'pf1rep0')), 'timeout');
    expect(await network.list()).toMatchObject([{ portId: unknownPort, healthy: false }]);
    await network.unbind(unknownPort);
    expect(await network.list()).toEqual([]);
  });
});
