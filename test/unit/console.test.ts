/** The serial console: one session of the host, shared by many, logged, opened with a token that is good once. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { DpuError } from '../../core/errors.ts';
import type { HostConsole } from '../../core/ports/host-console.ts';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type InstanceId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { run } from '../../soc-daemon/cli/run.ts';
import { type ConsoleHub, createConsoleHub } from '../../soc-daemon/service/console-hub.ts';
import { createOneTimeTokens } from '../../soc-daemon/service/one-time-tokens.ts';
import { createConsoleLog, eraseConsoleLogs } from '../../soc-daemon/store/console-log.ts';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

/** Long enough for a machine that has more to do. */
const patient = { timeout: 15_000, interval: 20 };

const first = asId<InstanceId>('11111111-1111-4111-8111-111111111111');
const second = asId<InstanceId>('22222222-2222-4222-8222-222222222222');

/** A BMC whose sessions the test holds. */
function fakeBmc() {
  const typed: string[] = [];
  const sessions: Duplex[] = [];
  let away = 0;
  const console: HostConsole = {
    open: async () => {
      if (away > 0) {
        away -= 1;
        throw new DpuError('unavailable', 'the BMC is away');
      }
      const session = new Duplex({
        read() {},
        write(bytes: Buffer, _encoding, done) {
          typed.push(bytes.toString());
          done();
        },
      });
      sessions.push(session);
      return await Promise.resolve(session);
    },
  };
  return {
    console,
    typed,
    sessions,
    awayFor: (tries: number) => {
      away = tries;
    },
    async says(text: string) {
      await vi.waitFor(() => expect(sessions.at(-1)?.destroyed).toBe(false), patient);
      sessions.at(-1)?.push(text);
    },
  };
}

function watcher() {
  const seen = { text: '', writes: null as boolean | null, ended: false };
  return {
    seen,
    show: (bytes: Uint8Array) => {
      seen.text += Buffer.from(bytes).toString();
    },
    role: (writes: boolean) => {
      seen.writes = writes;
    },
    end: () => {
      seen.ended = true;
    },
  };
}

let directory: string;
let bmc: ReturnType<typeof fakeBmc>;
let hub: ConsoleHub;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'console-'));
  bmc = fakeBmc();
  const logOf = (id: InstanceId) => createConsoleLog(directory, id, silentLog);
  hub = createConsoleHub({ console: bmc.console, logOf, clock: systemClock, log: silentLog });
});
afterEach(async () => {
  hub.close();
  await hub.forget(first);
  rmSync(directory, { recursive: true, force: true });
});

describe('the hub', () => {
  it('lets many watch and one write, hands writing on, and keeps the log for whoever comes later', async () => {
    hub.assign(first);
    const [a, b] = [watcher(), watcher()];
    const seatA = hub.join(first, a);
    const seatB = hub.join(first, b);
    expect([a.seen.writes, b.seen.writes]).toEqual([true, false]);
    await bmc.says('login: ');
    await vi.waitFor(() => expect([a.seen.text, b.seen.text]).toEqual(['login: ', 'login: ']), patient);
    expect(seatB?.type(Buffer.from('no'))).toBe(false);
    expect(seatA?.type(Buffer.from('root\r'))).toBe(true);
    seatB?.take();
    expect([a.seen.writes, b.seen.writes]).toEqual([false, true]);
    expect(seatA?.type(Buffer.from('no'))).toBe(false);
    seatB?.leave();
    expect(a.seen.writes).toBe(true);
    expect(bmc.typed).toEqual(['root\r']);
    expect((await hub.history(first, 1000)).toString()).toBe('login: ');
    expect((await hub.history(first, 3)).toString()).toBe('n: ');
  });

  it("is one instance's at a time", async () => {
    hub.assign(first);
    const a = watcher();
    hub.join(first, a);
    expect(hub.join(second, watcher())).toBeNull();
    await bmc.says('secret of the first');
    await vi.waitFor(() => expect(a.seen.text).not.toBe(''), patient);
    hub.assign(second);
    expect(a.seen.ended).toBe(true);
    expect(bmc.sessions[0]?.destroyed).toBe(true);
    expect((await hub.history(second, 1000)).length).toBe(0);
    const b = watcher();
    expect(hub.join(second, b)).not.toBeNull();
    await hub.forget(first);
    expect((await hub.history(first, 1000)).length).toBe(0);
  });

  it('takes the input of the next instance though the session of the one before closes late', async () => {
    const late: (() => void)[] = [];
    const open = async (): Promise<Duplex> => {
      const session = new Duplex({
        read() {},
        write: (bytes: Buffer, _encoding, done) => {
          bmc.typed.push(bytes.toString());
          done();
        },
        destroy: (_error, done) => void late.push(() => done(null)),
      });
      bmc.sessions.push(session);
      return await Promise.resolve(session);
    };
    hub = createConsoleHub({
      console: { open },
      logOf: (id) => createConsoleLog(directory, id, silentLog),
      clock: systemClock,
      log: silentLog,
    });
    hub.assign(first);
    await vi.waitFor(() => expect(bmc.sessions[0]?.listenerCount('data')).toBe(1), patient);
    hub.assign(second);
    const seat = hub.join(second, watcher());
    await vi.waitFor(() => expect(bmc.sessions[1]?.listenerCount('data')).toBe(1), patient);
    const closed = once(bmc.sessions[0] as Duplex, 'close');
    late[0]?.();
    await closed;
    await new Promise((resolve) => setImmediate(resolve));
    expect(seat?.type(Buffer.from('x'))).toBe(true);
    hub.close();
    for (const done of late) done();
  });

  it('holds no file of an instance that lost the host, and erases what was still to be written', async () => {
    const held = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
        } catch {
          return false; // closed meanwhile
        }
      }).length;
    hub.assign(first);
    const a = watcher();
    hub.join(first, a);
    await bmc.says('one');
    await vi.waitFor(() => expect(held()).toBe(1), patient);
    hub.assign(null);
    await vi.waitFor(() => expect(held()).toBe(0), patient);
    hub.assign(first);
    await vi.waitFor(() => expect(bmc.sessions[1]?.listenerCount('data')).toBe(1), patient);
    bmc.sessions[1]?.emit('data', Buffer.from('two'));
    hub.assign(null);
    await hub.forget(first);
    expect(readdirSync(directory)).toEqual([]);
    expect(held()).toBe(0);
  });

  it('opens the session again after the BMC ended it, and after it was away', async () => {
    bmc.awayFor(1);
    hub.assign(first);
    const a = watcher();
    const seat = hub.join(first, a);
    await bmc.says('one');
    await vi.waitFor(() => expect(a.seen.text).toBe('one'), patient);
    bmc.sessions[0]?.push(null);
    await vi.waitFor(() => expect(bmc.sessions[0]?.destroyed).toBe(true));
    expect(seat?.type(Buffer.from('typed meanwhile'))).toBe(true);
    await vi.waitFor(() => expect(bmc.sessions).toHaveLength(2), patient);
    await bmc.says('two');
    await vi.waitFor(() => expect(a.seen.text).toBe('onetwo'), patient);
    expect(bmc.typed).toEqual(['typed meanwhile']);
  });
});

it('keeps the last megabyte, over restarts, for its owner alone', async () => {
  const log = createConsoleLog(directory, first, silentLog);
  for (let index = 0; index < 300; index += 1) log.append(Buffer.alloc(10_000, 65 + (index % 26)));
  expect(statSync(join(directory, `${first}.log`), { throwIfNoEntry: false })?.mode ?? 0o100600).toBe(0o100600);
  const kept = await createConsoleLog(directory, first, silentLog).read(2_000_000);
  const all = await log.read(2_000_000);
  expect(all.length).toBeGreaterThan(524_287);
  expect(all.length).toBeLessThanOrEqual(1_048_576 + 10_000);
  expect(all.at(-1)).toBe(65 + (299 % 26));
  expect(kept.length).toBeLessThanOrEqual(all.length);
  await log.remove();
  expect((await log.read(10)).length).toBe(0);
});

it('goes with its instance where the daemon was killed before it could erase it', async () => {
  for (const id of [first, second]) {
    const log = createConsoleLog(directory, id, silentLog);
    log.append(Buffer.from('x'));
    await log.close();
  }
  eraseConsoleLogs(directory, (id) => id === second);
  expect(readdirSync(directory)).toEqual([`${second}.log`]);
  eraseConsoleLogs(join(directory, 'none'), () => false);
});

it('takes a token once, and none that is too old', async () => {
  const tokens = createOneTimeTokens<string>(systemClock, systemRandom, { livesMs: 60_000, capacity: 2 });
  const { token } = tokens.issue('x');
  expect([tokens.redeem(token), tokens.redeem(token), tokens.redeem('')]).toEqual(['x', undefined, undefined]);
  const stale = createOneTimeTokens<string>(systemClock, systemRandom, { livesMs: 0, capacity: 2 });
  expect(stale.redeem(stale.issue('x').token)).toBeUndefined();
  const [oldest, ...rest] = ['a', 'b', 'c'].map((each) => tokens.issue(each).token);
  expect(tokens.redeem(oldest ?? '')).toBeUndefined();
  expect(rest.map((each) => tokens.redeem(each))).toEqual(['b', 'c']);
  await Promise.resolve();
});

describe('the WebSocket', () => {
  const tokens = createOneTimeTokens<InstanceId>(systemClock, systemRandom, { livesMs: 60_000, capacity: 100 });
  let fixture: ApiFixture;
  beforeEach(async () => {
    fixture = await startApi(
      {},
      { consoles: { desk: { redeem: tokens.redeem, join: hub.join, history: hub.history }, sessionMs: 60_000 } },
    );
    hub.assign(first);
  });
  afterEach(async () => await fixture.close());

  function open(token: string, headers = {}): WebSocket {
    return new WebSocket(`ws+unix://${fixture.address.socket}:/v1/console?token=${token}`, { headers });
  }
  async function refusal(socket: WebSocket): Promise<number | undefined> {
    const [, response] = (await once(socket, 'unexpected-response')) as [
      unknown,
      { statusCode?: number; destroy(): void },
    ];
    response.destroy();
    return response.statusCode;
  }

  it('shows the past, then what comes, and takes input from the one who writes', async () => {
    await bmc.says('past ');
    await vi.waitFor(async () => expect((await hub.history(first, 100)).toString()).toBe('past '), patient);
    const socket = open(tokens.issue(first).token);
    let shown = '';
    const roles: unknown[] = [];
    socket.on('message', (data: Buffer, binary: boolean) => {
      if (binary) shown += data.toString();
      else roles.push(JSON.parse(data.toString()));
    });
    await once(socket, 'open');
    await vi.waitFor(() => expect(roles).toEqual([{ type: 'role', writes: true }]), patient);
    await bmc.says('now');
    await vi.waitFor(() => expect(shown).toBe('past now'), patient);
    socket.send(Buffer.from('ls\r'));
    socket.send('{ no JSON');
    socket.send('null');
    await vi.waitFor(() => expect(bmc.typed).toEqual(['ls\r']), patient);
    hub.assign(null);
    expect((await once(socket, 'close'))[0]).toBe(1001);
  });

  it('refuses a used or unknown token, another origin, and another path', async () => {
    const { token } = tokens.issue(first);
    expect(await refusal(open(token, { origin: 'https://evil.example' }))).toBe(403);
    const socket = open(token);
    await once(socket, 'open');
    expect(await refusal(open(token))).toBe(401);
    expect(await refusal(open(''))).toBe(401);
    const elsewhere = new WebSocket(`ws+unix://${fixture.address.socket}:/v1/node?token=${tokens.issue(first).token}`);
    expect(await refusal(elsewhere)).toBe(404);
    socket.close();
    await once(socket, 'close');
  });

  it.each([
    'GET /v1/console HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    'no HTTP\r\n\r\n',
  ])('lets nobody keep a connection that was refused: %j', async (text) => {
    const client = connect({ path: fixture.address.socket, allowHalfOpen: true });
    let answer = '';
    client.on('data', (bytes) => {
      answer += bytes.toString();
    });
    client.write(text);
    await once(client, 'end');
    expect(answer).toMatch(/^HTTP\/1.1 40[01] /);
    // the other side is gone, not half open: writing fails
    const gone = once(client, 'error');
    const writing = setInterval(() => client.write('x'), 10);
    await gone.finally(() => clearInterval(writing));
  });

  it('ends a connection whose message is too large, and the others go on', async () => {
    const [bad, good] = [open(tokens.issue(first).token), open(tokens.issue(first).token)];
    await Promise.all([once(bad, 'open'), once(good, 'open')]);
    bad.send(Buffer.alloc(100_000));
    expect((await once(bad, 'close'))[0]).toBe(1009);
    const shown = once(good, 'message');
    await bmc.says('still there');
    await shown;
    good.close();
    await once(good, 'close');
  });

  it('is what dpuctl console speaks: Ctrl-] leaves', async () => {
    const { token } = tokens.issue(first);
    const url = `ws+unix://elsewhere:/v1/console?token=${token}`;
    fixture.service.addInstance({ uuid: first });
    const access = { type: 'serial', url, token, expires_at: new Date().toISOString() } as const;
    vi.spyOn(fixture.service, 'getConsole').mockResolvedValue(access);
    let type: (bytes: Buffer) => void = () => {};
    let shown = '';
    const raw: boolean[] = [];
    const running = run(['console', first], {
      env: { DPUCTL_SOCKET: fixture.address.socket },
      stdout: () => {},
      stderr: () => {},
      terminal: false,
      signal: new AbortController().signal,
      console: {
        onInput: (listener) => {
          type = listener;
          return () => {};
        },
        write: (bytes) => {
          shown += Buffer.from(bytes).toString();
        },
        raw: (on) => raw.push(on),
      },
    });
    await vi.waitFor(() => expect(raw).toEqual([true]), patient);
    await bmc.says('login: ');
    await vi.waitFor(() => expect(shown).toBe('login: '), patient);
    type(Buffer.from('root\r'));
    await vi.waitFor(() => expect(bmc.typed).toEqual(['root\r']), patient);
    type(Buffer.from('x\u001dy'));
    expect(await running).toBe(0);
    await vi.waitFor(() => expect(bmc.typed).toEqual(['root\r', 'x']), patient);
    expect(raw).toEqual([true, false]);
  });
});
