import { describe, expect, it } from 'vitest';
import type { NetworkBinding } from '../../core/ports/network-binder.ts';
import type { FunctionState } from '../../core/ports/snic-controller.ts';
import type { BindingRecord, FunctionRecord, InstanceRecord } from '../../core/records.ts';
import { driftOf } from '../../soc-daemon/service/drift.ts';
import { flavor, instance, nicSpec, portId } from '../contract/samples.ts';

const { id, mac, mark } = nicSpec();
const shared = { id, instance, type: 'PF', class: 'virtio-net', mac, vuid: null, representor: 'pf0rep0' } as const;
const row: FunctionRecord = { ...shared, role: 'nic', phase: 'plugged', bdf: '0000:01:00.0', bdfState: 'assigned' };
const actual: FunctionState = { ...shared, features: [], bdf: row.bdf, bdfState: 'assigned', plugged: true, mark };
const binding = {
  functionId: id,
  instance,
  kind: 'port',
  key: portId,
  phase: 'bound',
  madeForInstance: true,
  ips: [],
  boot: false,
  readOnly: false,
  sizeBytes: null,
  bdev: null,
  connectionSecret: null,
  qos: null,
} as unknown as BindingRecord;
const record: InstanceRecord = {
  id: instance,
  name: 'i1',
  state: 'active',
  flavor,
  claimed: true,
  todo: null,
  generation: 1,
  metadata: {},
  sshKeys: [],
};

function workFor(port: Partial<NetworkBinding> | null): readonly string[] {
  const bound: NetworkBinding = { portId, functionId: id, representor: 'pf0rep0', mac, healthy: true, qos: null, mark };
  const seen = { functions: [actual], attachments: [], volumes: [], exports: [], ports: [], machines: [] };
  const bindings = port === null ? [] : [{ ...bound, ...port }];
  const rows = { instance: record, functions: [row], bindings: [binding] };
  return driftOf(rows, { ...seen, bindings }, 'on').map((each) => each.do);
}

describe('a port that an instance has', () => {
  it.each([
    ['as it shall be', {}, []],
    ['gone', null, ['bind']],
    ['there without traffic', { healthy: false }, ['bind']],
  ] as const)('is %s', (_, port, work) => {
    expect(workFor(port)).toEqual(work);
  });
});
