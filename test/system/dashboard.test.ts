/** The dashboard and the console's page in a real browser, on a real daemon with simulated hardware. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const chromiumPath = '/usr/bin/chromium';
/** Kept as it is: nothing outside loopback is asked for anything. */
const quietFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const token = 'a-token-of-some-length';
const subject = ['-subj', '/CN=node', '-addext', 'subjectAltName=IP:127.0.0.1'];

const found = existsSync(chromiumPath);
if (!found && process.env.CI) throw new Error('the dashboard is tested with the Debian package chromium');
if (!found) process.stderr.write('the dashboard is NOT tested: the Debian package chromium is not installed\n');

let dir: string;
let daemon: ChildProcess;
let browser: Browser;
let context: BrowserContext;

async function dpuctl(...args: readonly string[]): Promise<string> {
  const argv = [join(root, 'soc-daemon/cli/main.ts'), '--socket', join(dir, 'state/rest.sock'), ...args];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { encoding: 'utf8' });
  return stdout.trim();
}

async function up(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  if (!child.stderr) throw new Error('the daemon has no log');
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!line.includes('"node is up"')) continue;
    child.stderr.resume();
    return;
  }
  throw new Error(`the daemon ended: ${said.join('\n')}`);
}

/** A picture for people, where `DPU_COMPUTE_ARTEFACTS` names a directory. */
async function picture(page: Page, name: string): Promise<void> {
  const directory = process.env.DPU_COMPUTE_ARTEFACTS;
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

/** Notes in the page which phases steps were shown in, however short. */
async function recordSteps(page: Page): Promise<void> {
  await page.evaluate(`
    window.phasesSeen = new Set();
    new MutationObserver(() => {
      for (const step of document.querySelectorAll('.step')) window.phasesSeen.add(step.className.split(' ')[1]);
    }).observe(document.getElementById('operations'), { childList: true, subtree: true });
  `);
}

describe.skipIf(!found)('the dashboard', () => {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'dashboard-'));
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    writeFileSync(join(dir, 'token'), `${token}\n`, { mode: 0o600 });
    const config = join(dir, 'config.yaml');
    writeFileSync(
      config,
      [
        'profile: sim',
        'node: {hostname: dashboard-node}',
        'state_dir: state',
        'catalogue: {subnets: {net1: {cidr: 10.9.0.0/24}}}',
        'rest: {tcp: {port: 0, cert_file: cert.pem, key_file: key.pem, token_file: token}}',
        'sim: {latency_ms: 20}',
      ].join('\n'),
    );
    daemon = spawn(process.execPath, [join(root, 'soc-daemon/main.ts'), '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await up(daemon);
    browser = await chromium.launch({ executablePath: chromiumPath, args: quietFlags });
    context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1100, height: 900 } });
    context.setDefaultTimeout(20_000); // shorter than a test's: the message then says what was waited for
  });
  afterAll(async () => {
    await browser.close();
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGTERM');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  });

  it('lets a browser in once, and shows a build as it happens', async () => {
    const url = await dpuctl('dashboard');
    const page = await context.newPage();
    const wrong: string[] = [];
    page.on('pageerror', (error) => wrong.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') wrong.push(message.text());
    });
    await page.goto(url);
    expect(new URL(page.url()).search).toBe('');
    await page.getByRole('heading', { name: 'dashboard-node' }).waitFor();
    await page.getByText('no function: the card is empty').waitFor();
    await page.locator('#live', { hasText: 'live' }).waitFor();
    await recordSteps(page);
    await dpuctl(
      'instance',
      'build',
      '--name',
      'first',
      '--image',
      'demo',
      '--flavor',
      '4c8g',
      '--network',
      'subnet=net1',
    );
    await page.locator('.card .badge', { hasText: 'active' }).waitFor();
    await page.locator('svg text', { hasText: 'virtio-net' }).waitFor();
    await page
      .locator('svg text', { hasText: /^bound$/ })
      .first()
      .waitFor();
    await page.locator('#power', { hasText: 'host on' }).waitFor();
    await picture(page, 'dashboard');
    expect(await page.evaluate('[...window.phasesSeen].sort()')).toEqual(
      expect.arrayContaining(['doing', 'done', 'pending']),
    );
    expect(await page.locator('.wire:not(.open)').count()).toBe(4);
    expect(wrong).toEqual([]);

    const other = await browser.newContext({ ignoreHTTPSErrors: true });
    const stranger = await other.newPage();
    expect((await stranger.goto(url))?.status()).toBe(401);
    await stranger.getByText('dpuctl dashboard').waitFor();
    expect((await stranger.goto(new URL('/v1/node', url).href))?.status()).toBe(401);
    await other.close();
    await page.close();
  });

  it('has the console, where what is typed comes back', async () => {
    const page = await context.newPage();
    await page.goto(await dpuctl('dashboard'));
    const [terminal] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Console' }).click(),
    ]);
    await terminal.getByRole('heading', { name: 'Console of first' }).waitFor();
    await terminal.getByText('you write').waitFor();
    await terminal.locator('.xterm-rows', { hasText: 'Simulated host: boot 1' }).waitFor();
    await terminal.locator('.xterm-helper-textarea').focus();
    await terminal.keyboard.type('hello');
    await terminal.locator('.xterm-rows', { hasText: 'login: hello' }).waitFor();
    await picture(terminal, 'console');
    await Promise.all([page.close(), terminal.close()]);
  });

  it('changes nothing for a session that may only look, nor for a page of another origin', async () => {
    const reader = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await reader.newPage();
    await page.goto(await dpuctl('dashboard', '--read-only'));
    await page.getByRole('heading', { name: 'dashboard-node' }).waitFor();
    const put = (body: string) =>
      page.evaluate(
        async (text) =>
          (
            await fetch('/v1/maintenance', {
              method: 'PUT',
              headers: { 'content-type': 'application/json' },
              body: text,
            })
          ).status,
        body,
      );
    expect(await put('{"enabled":true}')).toBe(403);
    expect(JSON.parse(await dpuctl('maintenance', 'show', '-o', 'json'))).toMatchObject({ enabled: false });
    const cookies = await context.cookies();
    const session = cookies.find(({ name }) => name === '__Host-dpu-session');
    expect(session).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Strict' });
    const headers = { cookie: `${session?.name}=${session?.value}`, 'content-type': 'application/json' };
    const address = new URL('/v1/maintenance', page.url()).href;
    const api = reader.request;
    const send = async (extra: Readonly<Record<string, string>>) =>
      (await api.put(address, { headers: { ...headers, ...extra }, data: '{"enabled":false}' })).status();
    expect(await send({ origin: 'https://evil.example' })).toBe(403);
    expect(await send({})).toBe(403);
    expect(await send({ origin: new URL(address).origin })).toBe(200);
    await reader.close();
  });
});
