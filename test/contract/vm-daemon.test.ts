/** The daemon as it is started, as a node of virtual machines on the simulated host: over REST, with its consoles, and killed in between. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { ROOT } from '../architecture/project-files.ts';

const state = mkdtempSync(join(tmpdir(), 'vm-daemon-'));
const config = join(state, 'soc-daemon.yaml');
const socketPath = join(state, 'rest.sock');
let daemon: ChildProcess | undefined;

interface Answer {
  readonly status: number;
  readonly text: string;
}

function rest(method: string, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': 'application/json' } : {};
    const sent = request({ socketPath, method, path, headers, timeout: 30_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end(body ? JSON.stringify(body) : undefined);
  });
}

async function json(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const { text } = await rest(method, path, body);
  return JSON.parse(text) as Record<string, unknown>;
}

async function start(): Promise<void> {
  const started = spawn(process.execPath, [...daemonNodeFlags, join(ROOT, 'soc-daemon/main.ts'), '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  daemon = started;
  let log = '';
  await new Promise<void>((resolve, reject) => {
    started.once('exit', () => reject(new Error(`the daemon ended: ${log}`)));
    started.stderr?.on('data', (text) => {
      log += String(text);
      if (log.includes('node is up')) resolve();
    });
  });
}

async function kill(): Promise<void> {
  if (!daemon || daemon.exitCode !== null) return;
  const ended = once(daemon, 'exit');
  daemon.kill('SIGKILL');
  await ended;
}

describe('a daemon of virtual machines', () => {
  beforeAll(async () => {
    writeFileSync(
      config,
      JSON.stringify({
        profile: 'sim',
        node: { hostname: 'vm-node', type: 'VM' },
        state_dir: state,
        rest: { socket: socketPath },
        catalogue: { subnets: { net1: { cidr: '10.0.0.0/24' } } },
        sim: { host: { cpus: 8, memory_mib: 16_384 } },
      }),
    );
    await start();
  }, 60_000);
  afterAll(async () => {
    await kill();
    rmSync(state, { recursive: true, force: true });
  });

  const uuids = [1, 2].map((number) => `c0ffee00-0000-4000-8000-00000000000${number}`);
  const [first = '', second = ''] = uuids;

  it('builds machines up to what the host has', async () => {
    for (const [index, uuid] of uuids.entries()) {
      const body = { uuid, name: `vm${index}`, flavor: '4c8g', image: 'demo', networks: [{ subnet: 'net1' }] };
      expect(await json('POST', '/v1/instances?wait=true', body)).toMatchObject({ state: 'succeeded' });
    }
    expect(await json('GET', '/v1/node')).toMatchObject({ node_type: 'VM', total_cpu: 8, used_cpu: 8, ready: true });
    const refused = await rest('POST', '/v1/instances', { name: 'vm3', flavor: '1c1g', image: 'demo' });
    expect(refused.status).toBe(507);
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'exhausted', field: 'flavor' });
    const checks = (await json('GET', '/v1/health')).checks as readonly {
      readonly id: string;
      readonly state: string;
    }[];
    expect(checks.find(({ id }) => id === 'agent')?.state).toBe('ok');
  });

  it('gives each machine a console and a log of its own, and its counters', async () => {
    const log = async (uuid: string) => (await rest('GET', `/v1/instances/${uuid}/console/log`)).text;
    for (const uuid of uuids)
      await expect.poll(() => log(uuid), { timeout: 10_000 }).toContain('Simulated machine: boot 1');
    const { url } = await json('POST', `/v1/instances/${first}/console`, { type: 'serial' });
    const socket = new WebSocket(String(url));
    const shown: string[] = [];
    socket.on('message', (data) => void shown.push(String(data)));
    await once(socket, 'open');
    await expect
      .poll(
        () => {
          socket.send(Buffer.from('hello\r'));
          return shown.join('');
        },
        { timeout: 10_000 },
      )
      .toContain('hello');
    socket.terminate();
    await expect.poll(() => log(first), { timeout: 10_000 }).toContain('hello');
    expect(await log(second)).not.toContain('hello');
    expect(await json('GET', `/v1/instances/${first}/diagnostics`)).toMatchObject({ state: 'running', vcpus: 4 });
  });

  it('finds its machines again when it was killed', async () => {
    expect(await json('POST', `/v1/instances/${second}/actions/pause?wait=true`)).toMatchObject({ state: 'succeeded' });
    await kill();
    await start();
    expect(await json('GET', `/v1/instances/${first}`)).toMatchObject({ state: 'active' });
    expect(await json('GET', `/v1/instances/${second}`)).toMatchObject({ state: 'paused' });
    for (const uuid of uuids) {
      expect(await json('DELETE', `/v1/instances/${uuid}?wait=true`)).toMatchObject({ state: 'succeeded' });
    }
    expect(await json('GET', '/v1/functions')).toEqual({ functions: [] });
    expect((await rest('GET', `/v1/instances/${first}/diagnostics`)).status).toBe(404);
  }, 60_000);
});
