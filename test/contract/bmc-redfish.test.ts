import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { getChassisStatus } from '../../packages/node-ipmi/src/index.ts';
import {
  bootStateOf,
  ConnectionError,
  connectRedfish,
  findSystem,
  HttpError,
  listBootOptions,
  type Notice,
  ProtocolError,
  patch,
  RedfishTimeout,
  readBios,
  readInventory,
  readResetOffer,
  readSystem,
  resetSystem,
  setBios,
  setBoot,
  setPower,
  streamEvents,
} from '../../packages/redfish-client/src/index.ts';
import { PERSONAS, type Persona, type PersonaName } from '../../virtual-dpu/bmc/personas.ts';
import { type BmcBench, eventually, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';

const SYSTEM = '/redfish/v1/Systems/1';

describe.skipIf(!haveBmcPrograms('Redfish of the virtual DPU'))('Redfish of the virtual DPU', () => {
  let at: BmcBench;
  beforeAll(async () => {
    at = await startBmcBench();
  }, 60_000);
  afterAll(() => at?.close());
  beforeEach(async () => {
    await at.rules();
    await setPower(at.redfish, SYSTEM, 'off');
    at.serial.clear(); // what a boot of the test before has said
    await setBoot(at.redfish, SYSTEM, { enabled: 'Disabled' });
    await patch(at.redfish, SYSTEM, { Boot: { BootOrder: ['Boot0003', 'Boot0004', 'Boot0005'] } });
  });

  const power = async (): Promise<string | undefined> => (await readSystem(at.redfish, SYSTEM)).powerState;
  const refusal = async (work: Promise<unknown>): Promise<HttpError> => {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof HttpError)) throw new Error(`was not refused: ${String(error)}`);
    return error;
  };

  it('switches the machine on and off, hard and soft, and IPMI sees the same', { timeout: 60_000 }, async () => {
    const ipmi = async (): Promise<boolean> => (await getChassisStatus(at.ipmi)).powerOn;
    expect([await power(), await ipmi()]).toEqual(['Off', false]);
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    expect([await power(), await ipmi()]).toEqual(['On', true]);
    await setPower(at.redfish, SYSTEM, 'soft-off');
    expect([await power(), await ipmi()]).toEqual(['Off', false]);
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    await setPower(at.redfish, SYSTEM, 'off');
    expect((await at.machine.qmp.execute('query-status')).status).toBe('prelaunch');
  });

  it('restarts, hard and by the guest itself', { timeout: 60_000 }, async () => {
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    await setPower(at.redfish, SYSTEM, 'restart');
    await at.serial.until('this is disk a');
    await setPower(at.redfish, SYSTEM, 'soft-restart');
    await at.serial.until('this is disk a');
    expect(await power()).toBe('On');
  });

  it('sees the guest power itself off', { timeout: 60_000 }, async () => {
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    at.serial.write('O');
    await eventually('power off', async () => (await power()) === 'Off');
  });

  it('boots once from the option that is asked for', { timeout: 60_000 }, async () => {
    const system = await readSystem(at.redfish, SYSTEM);
    const { items } = await listBootOptions(at.redfish, system);
    const ofB = items.find((one) => one.displayName?.includes('0000:04:00.0'));
    expect(ofB?.reference).toBe('Boot0004');
    const { seen } = await setBoot(at.redfish, SYSTEM, { option: ofB?.reference ?? '' });
    expect(seen).toBe('active');
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk b');
    const enabled = async () => (await readSystem(at.redfish, SYSTEM)).raw.body.Boot as Record<string, unknown>;
    await eventually('end of the override', async () => (await enabled()).BootSourceOverrideEnabled === 'Disabled');
    at.serial.write('R');
    await at.serial.until('this is disk a');
  });

  it('boots for good in the order that is asked for, also what is plugged later', { timeout: 60_000 }, async () => {
    await setBoot(at.redfish, SYSTEM, { option: 'Boot0004', enabled: 'Continuous' });
    for (const intent of ['on', 'restart'] as const) {
      await setPower(at.redfish, SYSTEM, intent);
      await at.serial.until('this is disk b');
    }
    await setPower(at.redfish, SYSTEM, 'off');
    await at.machine.plugDisk('c', 5, 'this is disk c');
    await setBoot(at.redfish, SYSTEM, { option: 'Boot0006' });
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk c');
  });

  it('takes a boot order for the next reset while the host runs', { timeout: 60_000 }, async () => {
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    await setBoot(at.redfish, SYSTEM, { option: 'Boot0004', enabled: 'Continuous' });
    at.serial.write('R');
    await at.serial.until('this is disk b');
  });

  it('tells what the machine is made of', async () => {
    const { system, processors, memory, ethernetInterfaces, pcieDevices, networkAdapters, storage, problems } =
      await readInventory(at.redfish, SYSTEM);
    expect(problems).toEqual([]);
    expect(system).toMatchObject({ serialNumber: 'SN-TEST-1', uuid: at.machine.host.uuid, memoryGiB: 0.0625 });
    expect(processors.map(({ cores }) => cores)).toEqual([2]);
    expect(memory.map(({ capacityMiB }) => capacityMiB)).toEqual([64]);
    expect(ethernetInterfaces.map(({ mac }) => mac)).toEqual(['02:00:00:00:00:01']);
    expect(pcieDevices.map(({ id }) => id)).toContain('fn-n');
    expect(networkAdapters.map(({ id }) => id)).toEqual(['fn-n']);
    const drives = storage.flatMap((one) => one.drives).filter(({ id }) => id === 'fn-a');
    expect(drives).toMatchObject([{ serialNumber: 'a', capacityBytes: 1024 * 1024 }]);
  });

  it('lets nobody in without credentials, but shows the service root', async () => {
    const nobody = { username: 'admin', password: 'wrong' };
    for (const kind of ['session', 'basic'] as const) {
      const client = connectRedfish(at.redfishOptions({ auth: { kind, ...nobody } }));
      expect((await refusal(client.get(SYSTEM))).status).toBe(401);
      await client.close();
    }
    const basic = connectRedfish(
      at.redfishOptions({ auth: { kind: 'basic', username: 'admin', password: at.password } }),
    );
    expect((await basic.get('/redfish/v1/')).body.RedfishVersion).toBeDefined();
    expect((await basic.get(SYSTEM)).status).toBe(200);
    await basic.close();
  });

  it('ends a session that is deleted', async () => {
    const other = connectRedfish(at.redfishOptions());
    await other.get(SYSTEM);
    const { body } = await at.redfish.get('/redfish/v1/SessionService/Sessions');
    const before = (body.Members as readonly unknown[]).length;
    await other.close();
    const after = (await at.redfish.get('/redfish/v1/SessionService/Sessions')).body.Members as readonly unknown[];
    expect(after.length).toBe(before - 1);
  });

  it('ends the quietest session when there are too many, so that nobody is locked out', async () => {
    const first = connectRedfish(at.redfishOptions());
    await first.get(SYSTEM);
    const body = { UserName: at.part.username, Password: at.password };
    for (let count = 0; count < 20; count += 1) {
      await at.redfish.request('POST', '/redfish/v1/SessionService/Sessions', { body });
    }
    const { body: list } = await at.redfish.get('/redfish/v1/SessionService/Sessions');
    expect(list['Members@odata.count']).toBe(16);
    await first.get(SYSTEM);
    await first.close();
  });

  it('refuses with the messages of the standard', async () => {
    const post = (path: string, body: Record<string, unknown>) => at.redfish.request('POST', path, { body });
    const change = (body: Record<string, unknown>) => at.redfish.request('PATCH', SYSTEM, { body });
    const reset = `${SYSTEM}/Actions/ComputerSystem.Reset`;
    const cases: readonly (readonly [() => Promise<unknown>, number, string])[] = [
      [() => post(reset, { ResetType: 'Nonsense' }), 400, 'ActionParameterValueNotInList'],
      [() => post(reset, {}), 400, 'ActionParameterMissing'],
      [() => post(reset, { ResetType: 'On', Force: true }), 400, 'ActionParameterUnknown'],
      [() => post(SYSTEM, {}), 405, 'OperationNotAllowed'],
      [() => at.redfish.get('/redfish/v1/Nothing'), 404, 'ResourceMissingAtURI'],
      [() => at.redfish.get(`${SYSTEM}?$expand=.`), 501, 'QueryNotSupported'],
      [() => change({ PowerState: 'On' }), 400, 'PropertyNotWritable'],
      [() => change({ Boot: { BootSourceOverrideTarget: 'Usb' } }), 400, 'PropertyValueNotInList'],
      [() => change({ Boot: { BootOrder: ['Boot0003', 'Boot9999'] } }), 400, 'PropertyValueNotInList'],
      [() => change({ Boot: { Strange: 1 } }), 400, 'PropertyUnknown'],
      [() => change({}), 409, 'NoOperation'],
    ];
    for (const [work, status, message] of cases) {
      const error = await refusal(work());
      expect([error.status, error.has(message)], message).toEqual([status, true]);
    }
  });

  it('takes a change with the right ETag only', async () => {
    const { etag } = await readSystem(at.redfish, SYSTEM);
    expect(etag).toBeDefined();
    await patch(at.redfish, SYSTEM, { AssetTag: 'one' }, { ifMatch: etag });
    expect((await refusal(patch(at.redfish, SYSTEM, { AssetTag: 'two' }, { ifMatch: etag }))).status).toBe(412);
    expect((await readSystem(at.redfish, SYSTEM)).raw.body.AssetTag).toBe('one');
  });

  it('keeps BIOS settings for the next reset', { timeout: 60_000 }, async () => {
    const system = await readSystem(at.redfish, SYSTEM);
    await setBios(at.redfish, system, { SlotPower: false, NumaNodes: 2 });
    expect(await readBios(at.redfish, system)).toMatchObject({
      attributes: { SlotPower: true },
      pending: { SlotPower: false, NumaNodes: 2 },
    });
    await setPower(at.redfish, SYSTEM, 'on');
    await eventually('new attributes', async () => {
      const { attributes, pending } = await readBios(at.redfish, system);
      return attributes.SlotPower === false && Object.keys(pending).length === 0;
    });
  });

  it('tells of changes of power on its event stream, whoever made them', { timeout: 60_000 }, async () => {
    const stop = new AbortController();
    const heard: unknown[] = [];
    const connected = Promise.withResolvers<void>();
    const client = connectRedfish(
      at.redfishOptions({ onNotice: (notice) => notice.kind === 'stream-connected' && connected.resolve() }),
    );
    const listening = (async () => {
      for await (const event of streamEvents(client, { signal: stop.signal })) heard.push(event.args?.[1]);
    })();
    await connected.promise;
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    at.serial.write('O');
    await eventually('both events', async () => heard.length >= 2);
    expect(heard).toEqual(['On', 'Off']);
    stop.abort();
    await listening;
    await client.close();
  });

  it.each(Object.keys(PERSONAS) as PersonaName[])(
    'plays %s, whom the client knows how to treat',
    { timeout: 60_000 },
    async (name) => {
      const persona: Persona = PERSONAS[name];
      await at.rules({ persona: name });
      const client = connectRedfish(at.redfishOptions());
      const system = await findSystem(client);
      expect(system.id).toBe(persona.ids.system);
      const offer = await readResetOffer(client, system);
      expect(offer.published).toBe(persona.resetTypesAt !== 'nowhere');
      if (offer.published) expect(offer.types).toEqual(persona.resetTypes);

      const boot = await setBoot(client, system.path, { target: 'Pxe' });
      expect(boot).toMatchObject({ seen: 'active', state: { enabled: 'Once', target: 'Pxe' } });
      expect((await listBootOptions(client, system)).items.length > 0).toBe(persona.bootOptions);
      const before = (await readBios(client, system)).attributes.NumaNodes;
      await setBios(client, system, { NumaNodes: Number(before) + 1 });
      expect((await readBios(client, system)).pending).toEqual({ NumaNodes: Number(before) + 1 });

      await setPower(client, system.path, 'on');
      const again = resetSystem(client, system, 'On');
      if (persona.whenThere === 'conflict') expect((await refusal(again)).status).toBe(409);
      else await again;
      await setPower(client, system.path, 'off');
      await client.close();
    },
  );

  it('drops an override without a mode where the maker does', async () => {
    await at.rules({ persona: 'supermicro' });
    const body = { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Once' } };
    await at.redfish.request('PATCH', SYSTEM, { body });
    expect(bootStateOf(await readSystem(at.redfish, SYSTEM)).enabled).toBe('Disabled');
  });

  it('wants a precondition where the maker does', async () => {
    await at.rules({ persona: 'ami' });
    const path = '/redfish/v1/Systems/Self';
    const bare = at.redfish.request('PATCH', path, { body: { AssetTag: 'x' } });
    expect((await refusal(bare)).has('PreconditionRequired')).toBe(true);
  });

  it('fails by rules: an answer twice, slowly, cut, as garbage, never, after it was done', {
    timeout: 60_000,
  }, async () => {
    const busy = { kind: 'answer', status: 503, headers: { 'Retry-After': '0' } } as const;
    await at.rules({ faults: [{ path: SYSTEM, times: 2, does: busy }] });
    const notices: Notice[] = [];
    const patient = connectRedfish(at.redfishOptions({ onNotice: (notice) => notices.push(notice) }));
    expect((await patient.get(SYSTEM)).status).toBe(200);
    expect(notices.filter(({ kind }) => kind === 'retry')).toHaveLength(2);

    for (const kind of ['cut', 'reset'] as const) {
      await at.rules({ faults: [{ path: `${SYSTEM}*`, times: 1, does: { kind } }] });
      expect((await patient.get(SYSTEM)).status, kind).toBe(200);
    }
    await at.rules({ faults: [{ path: SYSTEM, times: 1, does: { kind: 'garbage' } }] });
    await expect(patient.get(SYSTEM)).rejects.toBeInstanceOf(ProtocolError);
    await at.rules({ faults: [{ path: SYSTEM, does: { kind: 'slow', ms: 5 } }] });
    expect((await patient.get(SYSTEM)).status).toBe(200);
    await at.rules({ faults: [{ path: SYSTEM, does: { kind: 'hang' } }] });
    await expect(patient.get(SYSTEM, { timeoutMs: 100 })).rejects.toBeInstanceOf(RedfishTimeout);

    const path = `${SYSTEM}/Actions/ComputerSystem.Reset`;
    await at.rules({ faults: [{ method: 'POST', path, times: 1, does: { kind: 'reset', after: true } }] });
    await expect(patient.request('POST', path, { body: { ResetType: 'On' } })).rejects.toBeInstanceOf(ConnectionError);
    expect(await power()).toBe('On');
    await patient.close();
  });

  it('has a power that is stuck, that ignores the button, that refuses', { timeout: 60_000 }, async () => {
    await at.rules({ power: 'stuck' });
    await resetSystem(at.redfish, await readSystem(at.redfish, SYSTEM), 'On');
    expect(await power()).toBe('Off');
    await at.rules();
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    await at.rules({ power: 'ignores-soft' });
    const soft = setPower(at.redfish, SYSTEM, 'soft-off', { timeoutMs: 300 });
    await expect(soft).rejects.toBeInstanceOf(RedfishTimeout);
    await at.rules({ power: 'refuses' });
    expect((await refusal(setPower(at.redfish, SYSTEM, 'off'))).has('ResourceInErrorState')).toBe(true);
  });

  it('lacks resources that it links, and refuses whoever logs in, by rules', async () => {
    await at.rules({ missing: [`${SYSTEM}/Memory*`, `${SYSTEM}/Storage*`, '/redfish/v1/Chassis/1/*'] });
    const half = await readInventory(at.redfish, SYSTEM);
    expect(half.processors).toHaveLength(1);
    expect(half.memory).toEqual([]);
    expect(half.problems.length).toBeGreaterThan(2);
    await at.rules({ login: 'refused' });
    const client = connectRedfish(at.redfishOptions());
    expect((await refusal(client.get(SYSTEM))).status).toBe(401);
    await client.close();
  });
});
