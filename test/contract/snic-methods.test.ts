/** What callers of snic-controller's socket see, whoever they are: methods, answers, errors, notifications. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createRpcClient, type RpcClient } from '../../kit/json-rpc/client.ts';
import { JsonRpcError } from '../../kit/json-rpc/protocol.ts';
import { validate } from '../../kit/validate.ts';
import type { FunctionAnswer, FunctionsAnswer } from '../../schemas/generated/snic-rpc.ts';
import { type SnicProgram, startSnicProgram } from '../support/snic-program.ts';

describe('snic-controller', () => {
  let program: SnicProgram;
  let client: RpcClient;
  let heard: (readonly [string, unknown])[];
  beforeEach(async () => {
    program = await startSnicProgram();
    heard = [];
    client = createRpcClient({
      path: program.socket,
      peer: 'snic-controller',
      clock: systemClock,
      timeoutMs: 20_000,
      onNotification: (...each) => heard.push(each),
    });
  });
  afterEach(async () => {
    client.close();
    await program.close();
  });

  const call = async (method: string, params: Json = {}): Promise<FunctionAnswer> =>
    (await client.call(method, params)) as FunctionAnswer;
  const list = async () => ((await client.call('list_functions', {})) as FunctionsAnswer).functions;
  const refusal = async (method: string, params: Json = {}): Promise<JsonRpcError> => {
    const error = await client.call(method, params).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (error instanceof JsonRpcError) return error;
    throw new Error(`${method} was not refused`, { cause: error });
  };

  it('plugs what a bare create_pf makes, and answers by the schema', async () => {
    program.card.switch('on');
    const made = await call('create_pf', { mac: 'AA-BB-CC-00-11-22' });
    expect(made).toMatchObject({ mac: 'aa:bb:cc:00:11:22', type: 'PF', class: 'virtio-net', plugged: true });
    expect(made).toMatchObject({ bdf: '0000:3b:00.0', bdf_state: 'assigned', representor: 'pf0rep0', mark: null });
    expect(validate('snic-rpc.json#/properties/function', made, 'answer')).toEqual(made);
    expect(await call('get_pf', { id: made.id })).toEqual(made);
    expect(await call('create_pf', { id: made.id })).toEqual(made);
    const card = await client.call('describe', {});
    expect(validate('snic-rpc.json#/properties/card', card, 'answer')).toMatchObject({ capacity: 6, free: 5 });
  });

  it('keeps kinds apart', async () => {
    const vf = await call('create_vf', { id: 'vf', parent: (await call('create_pf', { id: 'pf' })).id });
    expect(vf).toMatchObject({ type: 'VF', parent: 'pf', representor: 'vf1rep0' });
    const disk = await call('create_storage_dev', { id: 'disk', class: 'nvme' });
    expect(disk).toMatchObject({ class: 'nvme', mac: null, representor: null });
    expect(await refusal('get_vf', { id: 'pf' })).toMatchObject({ code: -32001, data: { code: 'not_found' } });
    expect(await refusal('delete_pf', { id: 'vf' })).toMatchObject({ code: -32002, data: { field: 'id' } });
    await client.call('unplug_function', { id: 'pf' });
    expect(await refusal('delete_pf', { id: 'pf' })).toMatchObject({ code: -32008, data: { code: 'bad_state' } });
    expect(await refusal('delete_storage_dev', { id: 'disk' })).toMatchObject({ code: -32008 });
    await client.call('unplug_function', { id: 'disk' });
    expect(await client.call('delete_storage_dev', { id: 'disk' })).toEqual({});
    expect(await client.call('delete_storage_dev', { id: 'disk' })).toEqual({});
    expect(await refusal('create_vf', { parent: 'disk' })).toMatchObject({ code: -32001 });
  });

  it.each<readonly [string, string, Json, number, string, string | undefined]>([
    ['a method that is not there', 'destroy_all', {}, -32601, '', undefined],
    ['an unknown param', 'create_pf', { colour: 'red' }, -32602, 'invalid', 'colour'],
    ['a missing id', 'get_pf', {}, -32602, 'invalid', 'id'],
    ['a list for params', 'get_pf', ['x'], -32602, 'invalid', undefined],
    ['no MAC', 'create_pf', { mac: 'aa:bb' }, -32602, 'invalid', 'mac'],
    ['mixed MAC', 'create_pf', { mac: 'aa:bb-cc:00:11:22' }, -32602, 'invalid', 'mac'],
    ['a multicast MAC', 'create_pf', { mac: '01:00:5e:00:00:01' }, -32602, 'invalid', 'mac'],
    ['a MAC for a disk', 'create_storage_dev', { mac: '02:00:00:00:00:01' }, -32602, 'invalid', 'mac'],
    ['a class of no such kind', 'create_storage_dev', { class: 'virtio-net' }, -32602, 'invalid', 'class'],
    ['a feature that the card lacks', 'create_pf', { features: ['rdma'] }, -32005, 'unsupported', 'features'],
    ['a function that is not there', 'plug_function', { id: 'x' }, -32001, 'not_found', undefined],
    ['a change of nothing', 'set_function', { id: 'x' }, -32602, 'invalid', undefined],
  ])('refuses %s, and makes nothing', async (_what, method, params, code, name, field) => {
    const error = await refusal(method, params);
    expect(error.code).toBe(code);
    if (name !== '') expect(error.data).toMatchObject({ code: name, ...(field === undefined ? {} : { field }) });
    expect(await list()).toEqual([]);
  });

  it('gives no MAC twice', async () => {
    const mac = '02:00:00:00:00:01';
    await call('create_pf', { id: 'a', mac });
    const refused = { code: -32002, data: { code: 'conflict', field: 'mac', details: { function: 'a' } } };
    expect(await refusal('create_pf', { id: 'b', mac })).toMatchObject(refused);
    await call('create_pf', { id: 'c', plug: false });
    expect(await refusal('set_function', { id: 'c', mac })).toMatchObject(refused);
    expect((await list()).map((each) => each.id)).toEqual(['a', 'c']);
    const all = await Promise.all(
      ['d', 'e'].map((id) =>
        client.call('create_pf', { id, mac: '020000000002' }).then(
          () => id,
          () => null,
        ),
      ),
    );
    expect(all.filter((each) => each !== null)).toHaveLength(1);
  });

  it('runs ids side by side and one id in order', async () => {
    const made = await Promise.all(['a', 'b', 'c', 'a', 'b', 'c'].map((id) => call('create_pf', { id })));
    expect(made.slice(3)).toEqual(made.slice(0, 3));
    expect(new Set(made.map((each) => each.representor)).size).toBe(3);
    program.card.switch('on');
    program.card.hold(true);
    const stuck = refusal('unplug_function', { id: 'a', deadline_ms: 200 });
    expect(await call('get_pf', { id: 'b' })).toMatchObject({ plugged: true });
    expect(await call('create_pf', { id: 'd' })).toMatchObject({ plugged: true });
    expect(await stuck).toMatchObject({ code: -32004, data: { code: 'busy' } });
    expect(await call('get_pf', { id: 'a' })).toMatchObject({ plugged: true, unplug_pending: true });
    await client.call('unplug_function', { id: 'a', force: true });
    expect(await call('get_pf', { id: 'a' })).toMatchObject({ plugged: false, unplug_pending: false });
  });

  it('changes what the card lets be changed, and keeps it', async () => {
    await call('create_pf', { id: 'a', mac: '02:00:00:00:00:01' });
    expect(await call('set_function', { id: 'a', link: 'down', rate: 1000 })).toMatchObject({
      link: 'down',
      rate: 1000,
    });
    expect(await refusal('set_function', { id: 'a', mac: '02:00:00:00:00:02' })).toMatchObject({ code: -32008 });
    await client.call('unplug_function', { id: 'a' });
    await call('set_function', { id: 'a', mac: '02:00:00:00:00:02' });
    await program.kill('SIGKILL');
    await program.start();
    expect(await call('plug_function', { id: 'a' })).toMatchObject({
      mac: '02:00:00:00:00:02',
      link: 'down',
      rate: 1000,
    });
  });

  it('says that an address is another than the first', async () => {
    program.card.switch('on');
    await call('create_pf', { id: 'a' });
    await program.kill('SIGKILL');
    const [row] = program.card.functions();
    if (!row) throw new Error('the card is empty');
    program.card.remove(row.slot);
    program.card.put({ ...row, slot: 3 });
    await program.start();
    expect(await call('get_pf', { id: 'a' })).toMatchObject({ bdf: '0000:3b:00.3', bdf_state: 'changed' });
  });

  it('makes and plugs again what the card lost while nobody looked, at the same place', async () => {
    program.card.switch('on');
    await call('create_pf', { id: 'other' });
    const made = await call('create_pf', { id: 'a' });
    await program.kill('SIGKILL');
    program.card.remove(0);
    program.card.remove(1);
    await program.start();
    expect(await call('get_pf', { id: 'a' })).toEqual(made);
  });

  it('tells watchers of what others do', async () => {
    const { functions } = (await client.call('watch', {})) as FunctionsAnswer;
    expect(functions).toEqual([]);
    const other = createRpcClient({
      path: program.socket,
      peer: 'snic-controller',
      clock: systemClock,
      timeoutMs: 20_000,
    });
    const made = await other.call('create_pf', { id: 'a' });
    await expect.poll(() => heard.at(-1)).toEqual(['function_changed', made]);
    await other.call('unplug_function', { id: 'a' });
    await other.call('delete_pf', { id: 'a' });
    await expect.poll(() => heard.at(-1)).toEqual(['function_gone', { id: 'a' }]);
    other.close();
  });

  it('is for one process, and its socket for its group', async () => {
    expect(statSync(program.socket).mode & 0o777).toBe(0o660);
    expect(statSync(join(program.folder, 'state')).mode & 0o777).toBe(0o700);
    const first = program.pid;
    await expect(program.start()).rejects.toThrow(/ended with 1: .*another process runs on the state directory/s);
    expect(readFileSync(`/proc/${first}/comm`, 'utf8')).not.toBe('');
    process.kill(first, 'SIGTERM');
    await expect.poll(() => existsSync(`/proc/${first}`), { timeout: 20_000 }).toBe(false);
  });
});
