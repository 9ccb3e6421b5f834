/** What ships, as it is started: the built daemon and the built dpuctl, on simulated hardware. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { toAscii } from '../../tools/build/ascii.ts';
import { programs } from '../../tools/build/programs.ts';
import { daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { ROOT } from '../architecture/project-files.ts';

const run = promisify(execFile);

/** Beneath the repository, as the build finds the npm packages there. */
const cache = join(ROOT, '.cache');
mkdirSync(cache, { recursive: true });
const dist = mkdtempSync(join(cache, 'build-'));
const state = mkdtempSync(join(tmpdir(), 'build-test-'));
const config = join(state, 'soc-daemon.yaml');
const socket = join(state, 'rest.sock');

/** Refuses TypeScript: a build that leads to a source does not start. */
const plain = '--no-strip-types';

const node = async (program: string, ...args: readonly string[]): Promise<string> =>
  (await run(process.execPath, [plain, join(dist, program), ...args], { timeout: 30_000, cwd: '/' })).stdout;

const dpuctl = (...args: readonly string[]): Promise<string> =>
  node('soc-daemon/cli/main.js', ...args, '--socket', socket);

/** What the daemon answers over its socket. */
const answerOf = async (path: string): Promise<string> => {
  const asked = request({ socketPath: socket, path }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return await text(answer);
};

/** The bundler's own code. */
const runtime = 'chunks/rolldown-runtime.js';

/** The code that is in the build; what browsers get is as it was written. */
const built = (): readonly string[] =>
  readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.js') && !file.startsWith('soc-daemon/api/page/') && file !== runtime,
  );

/** Files of the build that a file loads when it is loaded, itself among them. */
function loadedBy(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file) || file === runtime) return seen;
  seen.add(file);
  for (const [, path = ''] of readFileSync(join(dist, file), 'utf8').matchAll(/^import .*?"(\.[^"]+)";$/gm)) {
    loadedBy(relative(dist, join(dist, dirname(file), path)), seen);
  }
  return seen;
}

/** Sources that a file of the build was made of, as paths from the root; none for one that only hands on what others have. */
function sourcesOf(file: string): readonly string[] {
  if (!readFileSync(join(dist, file), 'utf8').includes('//# sourceMappingURL=')) return [];
  const { sources } = JSON.parse(readFileSync(join(dist, `${file}.map`), 'utf8')) as { sources: readonly string[] };
  return sources.map((source) => relative(ROOT, join(dist, dirname(file), source)));
}

describe('the build', () => {
  let daemon: ChildProcess;
  let log = '';
  let said = '';

  beforeAll(async () => {
    await run(process.execPath, [join(ROOT, 'tools/build.ts'), dist], { timeout: 60_000 });
    writeFileSync(
      config,
      JSON.stringify({
        profile: 'sim',
        node: { hostname: 'built' },
        state_dir: state,
        rest: { socket },
        catalogue: {
          flavors: { small: { vcpus: 1, memory_mib: 1024 } },
          subnets: { net1: { cidr: '10.0.0.0/24' } },
        },
        sim: { images: { demo: { size_bytes: 1_073_741_824 } } },
      }),
    );
    const program = join(dist, 'soc-daemon/main.js');
    daemon = spawn(process.execPath, [plain, ...daemonNodeFlags, '--trace-gc', program, '--config', config], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    daemon.stdout?.on('data', (line) => {
      said += String(line);
    });
    await new Promise<void>((resolve, reject) => {
      daemon.once('exit', () => reject(new Error(`the daemon ended: ${log}`)));
      daemon.stderr?.on('data', (text) => {
        log += String(text);
        if (log.includes('REST interface listens')) resolve();
      });
    });
  }, 120_000);

  afterAll(() => {
    daemon?.kill('SIGKILL');
    for (const dir of [dist, state]) rmSync(dir, { recursive: true, force: true });
  });

  it('has programs, what they read, and no tests and no tools', () => {
    for (const file of ['schemas/rpc.json', 'soc-daemon/api/page/index.html', 'virtual-dpu/image/guest/init']) {
      expect(existsSync(join(dist, file)), file).toBe(true);
    }
    expect(readdirSync(dist)).not.toContain('test');
    expect(readdirSync(dist)).not.toContain('tools');
    expect(
      built()
        .flatMap(sourcesOf)
        .filter((source) => /^(test|tools)\/|\/test\//.test(source)),
    ).toEqual([]);
  });

  it('has every program that another one starts by its file', () => {
    const sources = built().flatMap(sourcesOf);
    const started = sources
      .filter((source) => /^(?!node_modules).*\.ts$/.test(source))
      .flatMap((source) => {
        const written = readFileSync(join(ROOT, source), 'utf8');
        return [...written.matchAll(/`(?:\.\/)?([\w-]+)\$\{extname\(import\.meta/g)].map(([, name]) =>
          join(dirname(source), `${name ?? ''}.js`),
        );
      });
    expect(started.length).toBeGreaterThan(3);
    expect(built()).toEqual(expect.arrayContaining(started));
    expect(built()).toEqual(expect.arrayContaining(programs(ROOT).map((source) => source.replace('.ts', '.js'))));
  });

  it.each(['soc-daemon/main.js', 'snic-controller/main.js', 'soc-daemon/cli/main.js'])('%s runs', async (program) => {
    expect(await node(program, '--version')).toMatch(/\d+\.\d+\.\d+\n$/);
  });

  it('finds what lies beside a source', async () => {
    expect(await answerOf('/page/style.css')).toBe(readFileSync(join(ROOT, 'soc-daemon/api/page/style.css'), 'utf8'));
    expect(await answerOf('/page/xterm.css')).toContain('.xterm');
    expect(await dpuctl('--version')).toContain('dpuctl');
  });

  it('gives back what only its start needed, once', async () => {
    await vi.waitFor(() => expect(said).toMatch(/Mark-Compact.*testing/), { timeout: 60_000 });
  }, 90_000);

  it('is ASCII throughout: a text with another character takes two bytes for each', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what ASCII is
    const beyond = built().filter((file) => /[^\x00-\x7f]/.test(readFileSync(join(dist, file), 'utf8')));
    expect(beyond).toEqual([]);
    expect(toAscii("'it’s', /ä/u, '😀'")).toBe("'it\\u2019s', /\\u00e4/u, '\\ud83d\\ude00'");
    expect(() => toAscii('String.raw`ä`')).toThrow('String.raw');
  });

  it('can be read in a stack: names as they were, a source map beside', () => {
    const unmapped = built().filter((file) => sourcesOf(file).length === 0 && statSync(join(dist, file)).size > 1000);
    expect(unmapped).toEqual([]);
    const daemonCode = readFileSync(join(dist, 'soc-daemon/main.js'), 'utf8');
    expect(daemonCode).toMatch(/^async function start\(config, log\) \{$/m);
    expect(sourcesOf('soc-daemon/main.js')).toContain('soc-daemon/main.ts');
  });

  it('loads at the start nothing of a platform, a node type or hardware that may not be there', () => {
    const loaded = [...loadedBy('soc-daemon/main.js')].flatMap(sourcesOf);
    expect(loaded).toContain('soc-daemon/service/daemon.ts');
    const late = [
      'platform-adapter/amqp/adapter.ts',
      'platform-adapter/openstack/adapter.ts',
      'drivers/bm/driver.ts',
      'drivers/vm/driver.ts',
      'drivers/network/open.ts',
      'drivers/storage/open.ts',
      'drivers/power/open.ts',
      'snic-controller/client.ts',
      'snic-controller/main.ts',
    ];
    expect(loaded.filter((source) => late.includes(source))).toEqual([]);
    expect(loaded.filter((source) => /^node_modules\/(ws|iconv-lite\/encodings\/tables)\//.test(source))).toEqual([]);
    const all = built().flatMap(sourcesOf);
    expect(late.filter((source) => !all.includes(source))).toEqual([]);
  });

  it('names the licences of what is in it', () => {
    const notices = readFileSync(join(dist, 'THIRD-PARTY'), 'utf8');
    const packages = built()
      .flatMap(sourcesOf)
      .map((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(source)?.[1])
      .filter((name) => name !== undefined);
    expect(packages).toContain('express');
    for (const name of new Set(packages)) expect(notices).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });

  it('builds an instance and stops in good order', async () => {
    const first = ['--name', 'first', '--flavor', 'small', '--image', 'demo', '--network', 'subnet=net1'];
    await dpuctl('instance', 'build', ...first);
    expect(JSON.parse(await dpuctl('instance', 'list', '-o', 'json'))).toMatchObject([
      { name: 'first', state: 'active' },
    ]);
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
