import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BindSpec, NetworkBinder } from '../../core/ports/network-binder.ts';
import { asId, type FunctionId, type Mac, type PortId } from '../../core/units.ts';
import { macOf, markOf, otherInstance, portId, rejection } from './samples.ts';

/** A switch to test, without a port of ours, and a card with two unplugged network functions of the instance. */
export interface BinderHarness {
  readonly network: NetworkBinder;
  readonly functions: readonly [Representor, Representor];
  /** Makes a port that is not ours, and says its id. */
  plantForeign?(): PortId | Promise<PortId>;
  reopen?(): Promise<NetworkBinder>;
  close(): Promise<void>;
}

/** A network function and its representor. */
export interface Representor {
  readonly id: FunctionId;
  readonly representor: string;
}

const otherPort = asId<PortId>('66666666-6666-4666-8666-666666666666');
const qos = { bitsPerSecond: 1_000_000_000, packetsPerSecond: 0, direction: 'both' } as const;

/** What every NetworkBinder does. */
export function networkBinderContract(name: string, makeHarness: () => Promise<BinderHarness>): void {
  describe(`NetworkBinder: ${name}`, () => {
    let harness: BinderHarness;
    let network: NetworkBinder;
    let spec: BindSpec;
    beforeEach(async () => {
      harness = await makeHarness();
      network = harness.network;
      const [first] = harness.functions;
      spec = {
        portId,
        functionId: first.id,
        representor: first.representor,
        mac: macOf(portId),
        mark: markOf('nic', portId),
      };
    });
    afterEach(() => harness.close());

    it('binds a representor once, healthy and with its mark', async () => {
      const bound = await network.bind(spec);
      expect(bound).toEqual({ ...spec, healthy: true, qos: null });
      expect(await network.bind(spec)).toEqual(bound);
      expect(await network.list()).toEqual([bound]);
    });

    it.each([
      ['mac', { mac: '02:00:00:00:00:99' as Mac }],
      ['mark', { mark: markOf('nic', portId, otherInstance) }],
    ])('refuses the same port with another %s, says the difference, and changes nothing', async (field, other) => {
      const bound = await network.bind(spec);
      const error = await rejection(network.bind({ ...spec, ...other }), 'conflict');
      expect(error.details).toEqual({ [field]: [spec[field as keyof BindSpec], Object.values(other)[0]] });
      expect(await network.list()).toEqual([bound]);
    });

    it('refuses the same port with another representor, and a representor in two ports', async () => {
      await network.bind(spec);
      const [, second] = harness.functions;
      const moved = { ...spec, functionId: second.id, representor: second.representor };
      const error = await rejection(network.bind(moved), 'conflict');
      expect(Object.keys(error.details ?? {}).sort()).toEqual(['functionId', 'representor']);
      await rejection(network.bind({ ...spec, portId: otherPort, mark: markOf('nic', otherPort) }), 'conflict');
      expect(await network.list()).toHaveLength(1);
    });

    it('refuses a representor that does not exist, and leaves no port', async () => {
      await rejection(network.bind({ ...spec, representor: 'pf9999rep0' }), 'not_found');
      expect(await network.list()).toEqual([]);
    });

    it('unbinds; twice, and what was never bound, is fine', async () => {
      await network.bind(spec);
      await network.unbind(portId);
      await network.unbind(portId);
      await network.unbind(otherPort);
      expect(await network.list()).toEqual([]);
      await network.bind(spec);
      expect(await network.list()).toHaveLength(1);
    });

    it('lists two ports apart', async () => {
      const [, second] = harness.functions;
      await network.bind(spec);
      await network.bind({
        portId: otherPort,
        functionId: second.id,
        representor: second.representor,
        mac: macOf(otherPort),
        mark: markOf('nic', otherPort),
      });
      const ids = (await network.list()).map((each) => each.portId);
      expect(ids.sort()).toEqual([portId, otherPort].sort());
    });

    it('sets limits, and takes them off with 0', async () => {
      await network.bind(spec);
      await network.setQos(portId, qos);
      await network.setQos(portId, qos);
      expect((await network.list())[0]?.qos).toEqual(qos);
      expect((await network.bind(spec)).qos).toEqual(qos);
      await network.setQos(portId, { ...qos, bitsPerSecond: 0 });
      expect((await network.list())[0]?.qos).toBeNull();
    });

    it('rejects with the reason of a signal that is aborted, and leaves nothing', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(network.bind(spec, signal)).rejects.toBe(reason);
      await expect(network.list(signal)).rejects.toBe(reason);
      expect(await network.list()).toEqual([]);
      const bound = await network.bind(spec);
      await expect(network.unbind(portId, signal)).rejects.toBe(reason);
      await expect(network.setQos(portId, qos, signal)).rejects.toBe(reason);
      expect(await network.list()).toEqual([bound]);
    });

    it('lists what is not ours without a mark, and does not touch it', async ({ skip }) => {
      if (!harness.plantForeign) return skip('nobody else can make ports here');
      const id = await harness.plantForeign();
      const before = await network.list();
      expect(before.map((each) => each.mark)).toEqual([null]);
      await rejection(network.unbind(id), 'denied');
      await rejection(network.bind({ ...spec, portId: id }), 'conflict');
      expect(await network.list()).toEqual(before);
    });

    it('has everything as it was after a restart', async ({ skip }) => {
      if (!harness.reopen) return skip('this switch can not be reopened here');
      await network.bind(spec);
      await network.setQos(portId, qos);
      const before = await network.list();
      expect(await (await harness.reopen()).list()).toEqual(before);
    });
  });
}
