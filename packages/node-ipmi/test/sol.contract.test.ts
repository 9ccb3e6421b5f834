import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createIpmiClient, getDeviceId, type IpmiClient, openSol, type SolStream } from '../src/index.ts';
import { havePeers, type IpmiSim, startIpmiSim } from './ipmi-sim.ts';

describe.skipIf(!havePeers())('serial over LAN with ipmi_sim', () => {
  let sim: IpmiSim;
  let bmc: IpmiClient;

  beforeAll(async () => {
    sim = await startIpmiSim();
    bmc = createIpmiClient(sim.options());
  });
  afterAll(async () => {
    await bmc?.close();
    await sim?.stop();
  });

  /** Reads until `length` characters have come. */
  function reading(sol: SolStream, length: number): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let text = '';
    sol.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      if (text.length >= length) resolve(text);
    });
    return promise;
  }

  it('carries bytes both ways, whole and in order, next to other commands', async () => {
    const sol = await openSol(bmc);
    // The line is only open when the simulator has connected to it.
    sol.write('hello\r');
    await sim.serial.until('hello\r');
    const down = Array.from({ length: 300 }, (_, at) => `down ${at}\r\n`).join('');
    const up = Array.from({ length: 300 }, (_, at) => `up ${at}\r`).join('');
    const all = reading(sol, down.length);
    sim.serial.write(down);
    sol.write(up);
    sol.write('END\r');
    expect((await getDeviceId(bmc)).deviceId).toBe(0x21);
    expect(await all).toBe(down);
    await sim.serial.until('END\r');
    expect(sim.serial.received()).toBe(`hello\r${up}END\r`);
    sol.end('bye\r');
    await once(sol, 'close');
    await sim.serial.until('bye\r');
  });

  it('all byte values come through', async () => {
    const sol = await openSol(bmc);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    const all = reading(sol, 256);
    sim.serial.write(bytes);
    expect(Buffer.from(await all, 'latin1')).toEqual(bytes);
    await sol.sendBreak();
    sol.destroy();
    await once(sol, 'close');
  });

  it('one console at a time, and the other may take it', async () => {
    const first = await openSol(bmc);
    await using other = createIpmiClient(sim.options());
    await expect(openSol(other)).rejects.toMatchObject({ completionCode: 0x80, code: 'payload-active-elsewhere' });
    first.destroy();
    await once(first, 'close');
    const second = await openSol(other);
    second.write('second\r');
    await sim.serial.until('second\r');
    second.destroy();
    await once(second, 'close');
  });

  it('ends with an error when the BMC restarts', async () => {
    const quick = createIpmiClient(sim.options({ retryMs: 100, timeoutMs: 25_000 }));
    const sol = await openSol(quick);
    const failed = once(sol, 'error');
    await sim.kill();
    sol.write('anybody?\r');
    await sim.start();
    await getDeviceId(quick);
    expect(await failed).toMatchObject([{ code: expect.stringMatching(/^(session-lost|sol-no-ack)$/) }]);
    const again = await openSol(quick, { takeOver: true });
    again.write('again\r');
    await sim.serial.until('again\r');
    await quick.close();
  });
});
