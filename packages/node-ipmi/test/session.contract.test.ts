import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chassisControl,
  createIpmiClient,
  getChassisStatus,
  getDeviceId,
  type IpmiClient,
  type IpmiClientOptions,
} from '../src/index.ts';
import { havePeers, type IpmiSim, startIpmiSim, USERS } from './ipmi-sim.ts';

describe.skipIf(!havePeers())('sessions with ipmi_sim', () => {
  let sim: IpmiSim;

  beforeAll(async () => {
    sim = await startIpmiSim();
  });
  afterAll(async () => {
    await sim?.stop();
  });

  const codeOf = async (
    more: Partial<IpmiClientOptions>,
    work: (bmc: IpmiClient) => Promise<unknown> = getDeviceId,
  ) => {
    await using bmc = createIpmiClient(sim.options(more));
    return await work(bmc).then(
      () => 'done',
      (error: { code?: string }) => error.code,
    );
  };

  it('tells what is wrong', async () => {
    expect(await codeOf({})).toBe('done');
    expect(await codeOf({ password: 'secret13' })).toBe('wrong-password');
    expect(await codeOf({ username: 'nobody' })).toBe('unauthorized-name');
    expect(await codeOf({ cipherSuites: [17] })).toBe('no-cipher-suite');
  });

  it('keeps to the level that was asked for', async () => {
    const user = { username: 'watcher', password: USERS.watcher, privilege: 'user' } as const;
    expect(await codeOf(user, getChassisStatus)).toBe('done');
    expect(await codeOf(user, (bmc) => chassisControl(bmc, 'off'))).toBe('insufficient-privilege');
    const operator = { username: 'oper', password: USERS.oper, privilege: 'operator' } as const;
    expect(await codeOf(operator, (bmc) => chassisControl(bmc, 'off'))).toBe('done');
  });

  it('that are all taken: a clear error, and a free one after that', async () => {
    const clients: IpmiClient[] = [];
    let code: string | undefined;
    while (code === undefined && clients.length < 80) {
      const bmc = createIpmiClient(sim.options({ cipherSuites: [3], timeoutMs: 8000 }));
      clients.push(bmc);
      code = await bmc.open().then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
    }
    expect(code).toBe('no-free-session');
    for (const bmc of clients) await bmc.close();
    expect(await codeOf({})).toBe('done');
  });

  it('survive a restart of the BMC in the middle of work', async () => {
    await using bmc = createIpmiClient(sim.options({ retryMs: 100, timeoutMs: 25_000 }));
    const events: string[] = [];
    bmc.on('lost', () => events.push('lost'));
    bmc.on('open', ({ reconnected }) => events.push(reconnected ? 'again' : 'first'));
    await bmc.open();
    let answers = 0;
    let run = true;
    const work = (async () => {
      while (run) {
        await getDeviceId(bmc);
        answers += 1;
      }
    })();
    while (answers < 20) await getDeviceId(bmc);
    await sim.kill();
    await sim.start();
    await getDeviceId(bmc);
    run = false;
    await work;
    expect(events).toEqual(['first', 'lost', 'again']);
  });
});
