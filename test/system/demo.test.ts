/** The demo as people and programs outside use it: kept, driven by stock oslo.messaging, killed, revived, taken down. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import { createClient } from '../../soc-daemon/cli/client.ts';
import type { DemoDocument } from '../../tools/demo/keep.ts';
import { startTime } from '../../tools/demo/processes.ts';
import { ROOT } from '../architecture/project-files.ts';

const LIMIT = 180_000;

/** A platform in Python: calls one method with stock oslo.messaging, as a document on stdin says. */
const PLATFORM = `
import json, os, sys
import oslo_messaging
from oslo_config import cfg
asked = json.load(sys.stdin)
demo = asked['demo']
conf = cfg.CONF
conf([], project='platform')
transport = oslo_messaging.get_rpc_transport(conf, url=demo['transport_url'])
target = oslo_messaging.Target(exchange=demo['exchange'], topic='compute', server=demo['hostname'], version='1.0')
client = oslo_messaging.RPCClient(transport, target, timeout=30)
print(json.dumps(client.call({}, asked['method'], **asked['args'])), flush=True)
os._exit(0)
`;

interface Ran {
  readonly status: number;
  readonly output: string;
}

function run(command: string, args: readonly string[], input?: string): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(command, [...args], { cwd: ROOT, timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` });
    });
    child.stdin?.end(input);
  });
}

const demo = (...args: readonly string[]): Promise<Ran> =>
  run(process.execPath, [join(ROOT, 'tools/demo.ts'), ...args]);

async function platform<Answer>(document: DemoDocument, method: string, args: object): Promise<Answer> {
  const asked = JSON.stringify({ demo: document, method, args });
  const { status, output } = await run('/usr/bin/python3', ['-W', 'ignore', '-c', PLATFORM], asked);
  expect(status, output).toBe(0);
  const answer = output.split('\n').find((line) => line.startsWith('{')); // oslo logs warnings beside it
  return JSON.parse(answer ?? '') as Answer;
}

function documentOf(dir: string): DemoDocument {
  return JSON.parse(readFileSync(join(dir, 'demo.json'), 'utf8')) as DemoDocument;
}

async function until<Answer>(what: string, ask: () => Promise<Answer | undefined>): Promise<Answer> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(20);
  }
  throw new Error(`in vain: ${what}`);
}

describe('a kept demo', () => {
  const dirs = ['one', 'two'].map((name) => mkdtempSync(join(tmpdir(), `demo ${name} `)));
  const [first = '', second = ''] = dirs;

  beforeAll(async () => {
    for (const { status, output } of await Promise.all(dirs.map((dir) => demo('--sim', '--keep', '--state', dir)))) {
      expect(status, output).toBe(0);
      expect(output).toContain('build succeeded');
      expect(output).toContain('destroy succeeded');
    }
  }, LIMIT);

  afterAll(async () => {
    for (const dir of dirs) {
      await demo('--down', '--state', dir);
      rmSync(dir, { recursive: true, force: true });
    }
  }, LIMIT);

  it('says in demo.json all that a program needs', () => {
    const document = documentOf(first);
    const names = 'transport_url exchange hostname node_type rest image flavor subnet ovsdb bridge pids netns logs';
    expect(Object.keys(document)).toEqual(names.split(' '));
    expect(document).toMatchObject({
      transport_url: expect.stringMatching(/^rabbit:\/\/[^:]+:[^@]+@127\.0\.0\.1:\d+\/$/),
      exchange: 'dpu',
      node_type: 'BM',
      rest: {
        socket: expect.stringMatching(/rest\.sock$/),
        url: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
        token: expect.stringMatching(/^[0-9a-f]{48}$/),
      },
      ovsdb: null,
      image: 'demo',
      flavor: '4c8g',
      subnet: 'net1',
      bridge: 'br-int',
      netns: [],
    });
    expect(statSync(join(first, 'demo.json')).mode & 0o777).toBe(0o600);
    expect(existsSync(join(document.logs, 'soc-daemon.log'))).toBe(true);
    for (const pid of Object.values(document.pids)) expect(startTime(pid)).toBeDefined();
  });

  it('shares neither process nor broker with another beside it', () => {
    const [one, two] = [documentOf(first), documentOf(second)];
    expect(one.transport_url).not.toBe(two.transport_url);
    expect(new Set([...Object.values(one.pids), ...Object.values(two.pids)]).size).toBe(4);
  });

  it('refuses a plain demo in its directory, and goes on', async () => {
    const { status, output } = await demo('--sim', '--state', first);
    expect(status).toBe(1);
    expect(output).toContain('a kept demo runs');
    for (const pid of Object.values(documentOf(first).pids)) expect(startTime(pid)).toBeDefined();
  });

  it(
    'finishes a build whose daemon was killed, once it is revived',
    async () => {
      const document = documentOf(first);
      const { image, flavor, subnet, rest } = document;
      const args = { name: 'python', image, flavor, networks: [{ subnet }], volumes: [] };
      const client = createClient({ socket: rest.socket });
      const asked = platform<{ operation: Operation }>(document, 'build_and_run_instance', args);
      await until('a step that is done', async () => {
        const { operations } = (await client.ask('GET', '/v1/operations?state=running')) as { operations: Operation[] };
        return operations.find((each) => each.progress.done > 0);
      });
      const pid = document.pids['soc-daemon'] ?? 0;
      process.kill(pid, 'SIGKILL');
      const { operation } = await asked; // it was answered before the first step
      await until('the end of the daemon', async () => (startTime(pid) === undefined ? true : undefined));

      const revived = await demo('--keep', '--state', first);
      expect(revived.status, revived.output).toBe(0);
      expect(revived.output).toContain(operation.id);
      expect(revived.output).toContain('build succeeded');
      const after = documentOf(first);
      expect(after.pids['soc-daemon']).not.toBe(pid);
      expect({ ...after, pids: 0 }).toEqual({ ...document, pids: 0 });
      expect(after.pids.rabbitmq).toBe(document.pids.rabbitmq);
      const ended = (await client.ask('GET', `/v1/operations/${operation.id}`)) as Operation;
      expect(ended.state).toBe('succeeded');
      const status = await platform<NodeStatus>(after, 'report_node_status', {});
      expect(status.instances.map((each) => [each.name, each.state])).toEqual([['python', 'active']]);
    },
    LIMIT,
  );

  it(
    'starts a broker that was killed on its old port, and the node finds it',
    async () => {
      const document = documentOf(second);
      const pid = document.pids.rabbitmq ?? 0;
      process.kill(pid, 'SIGKILL');
      await until('the end of the broker', async () => (startTime(pid) === undefined ? true : undefined));
      const revived = await demo('--keep', '--state', second);
      expect(revived.status, revived.output).toBe(0);
      const after = documentOf(second);
      expect(after.transport_url).toBe(document.transport_url);
      expect(after.pids['soc-daemon']).toBe(document.pids['soc-daemon']);
      expect((await platform<NodeStatus>(after, 'report_node_status', {})).hostname).toBe(document.hostname);
    },
    LIMIT,
  );

  it(
    'ends what it lists with --down, and leaves the one beside it alone',
    async () => {
      const pids = Object.values(documentOf(first).pids);
      const { status, output } = await demo('--down', '--state', first);
      expect(status, output).toBe(0);
      for (const pid of pids) expect(startTime(pid)).toBeUndefined();
      expect(existsSync(join(first, 'demo.json'))).toBe(false);
      for (const pid of Object.values(documentOf(second).pids)) expect(startTime(pid)).toBeDefined();
    },
    LIMIT,
  );
});

describe('a pid with a new owner', () => {
  const dir = mkdtempSync(join(tmpdir(), 'demo-pid-'));
  let stranger: ChildProcess;

  beforeAll(() => {
    stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  });
  afterAll(() => {
    stranger.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });

  it('is not ended by --down', async () => {
    const pid = stranger.pid ?? 0;
    writeFileSync(join(dir, 'processes.json'), JSON.stringify({ 'soc-daemon': { pid, started: '1' } }));
    writeFileSync(join(dir, 'demo.json'), JSON.stringify({ pids: { 'soc-daemon': pid } }));
    expect(await demo('--down', '--state', dir)).toMatchObject({ status: 0 });
    expect(startTime(pid)).toBeDefined();
    expect(existsSync(join(dir, 'demo.json'))).toBe(false);
  });
});

describe('a plain demo', () => {
  const dir = mkdtempSync(join(tmpdir(), 'demo-plain-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const living = (): readonly number[] => {
    const file = join(dir, 'processes.json');
    const records = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, { pid: number; started: string }>)
      : {};
    return Object.values(records).flatMap(({ pid, started }) => (startTime(pid) === started ? pid : []));
  };

  it(
    'needs no broker, and leaves nothing running',
    async () => {
      const { status, output } = await demo('--sim', '--no-broker', '--state', dir);
      expect(status, output).toBe(0);
      expect(output).toContain('nothing is left running');
      expect(living()).toEqual([]);
      expect(existsSync(join(dir, 'demo.json'))).toBe(false);
    },
    LIMIT,
  );

  it('keeps out of a directory that holds something else', async () => {
    const other = mkdtempSync(join(tmpdir(), 'demo-other-'));
    try {
      writeFileSync(join(other, 'state'), 'precious');
      for (const keep of [[], ['--keep']]) {
        const { status, output } = await demo(...keep, '--sim', '--no-broker', '--state', other);
        expect(status).toBe(1);
        expect(output).toContain('something else');
      }
      expect(readdirSync(other)).toEqual(['state']);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it(
    'ends its processes when it is interrupted',
    async () => {
      const child = spawn(process.execPath, [join(ROOT, 'tools/demo.ts'), '--sim', '--no-broker', '--state', dir], {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const ended = once(child, 'exit');
      let output = '';
      for await (const chunk of child.stdout) {
        output += String(chunk);
        if (output.includes('> doing')) break;
      }
      expect(living()).toHaveLength(1);
      child.kill('SIGINT');
      expect((await ended)[0]).toBe(130);
      expect(living()).toEqual([]);
    },
    LIMIT,
  );
});
