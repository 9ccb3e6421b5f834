/** The fake `virtnet`, `devlink`, `ip` and `mlxprivhost`: run as `node bluefield-cli.ts FOLDER PROGRAM ARGUMENT…`. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { changeCard, type FakeState, readCard, sfHandle, vfHandle, virtnetList } from './bluefield-state.ts';

const [folder = '', program = '', ...args] = process.argv.slice(2);

class Refusal extends Error {}

function say(value: unknown): void {
  process.stdout.write(typeof value === 'string' ? value : `${JSON.stringify(value)}\n`);
}

function option(name: string, from: readonly string[] = args): string | undefined {
  const at = from.indexOf(name);
  return at < 0 ? undefined : from[at + 1];
}

function must(name: string): string {
  const value = option(name);
  if (value === undefined) throw new Refusal(`missing ${name}`);
  return value;
}

/** Links of representors that are gone go with them. */
function withoutNet(state: FakeState, vuid: string): FakeState {
  const gone = state.net.find((each) => each.vuid === vuid);
  const links = Object.entries(state.links).filter(([name]) => name !== gone?.rep);
  return { ...state, net: state.net.filter((each) => each !== gone), links: Object.fromEntries(links) };
}

function hotplug(): void {
  const sf = Number(must('-u'));
  const mac = must('-m');
  const rep = `en3f0pf0sf${sf}`;
  let slot = 0;
  changeCard(folder, (state) => {
    if (must('-i') !== 'mlx5_0' || mac.length !== 17) throw new Refusal('invalid arguments');
    if (state.net.some((each) => each.sf === sf)) throw new Refusal(`sf ${sf} exists`);
    slot = state.nextSlot;
    const vuid = `MT2328XZ17DFVNETS${slot}D0F0`;
    const made = { vuid, slot, kind: 'hotplug PF' as const, mac, sf, rep, enumerated: false };
    return {
      ...state,
      nextSlot: slot + 1,
      net: [...state.net, made],
      links: { ...state.links, [rep]: { alias: '', up: false } },
    };
  });
  say({ bdf: '00:00.0', id: slot, transitional: 0, sf_rep_net_device: rep, mac: mac.toUpperCase() });
}

function unplug(): void {
  const vuid = must('-u');
  const { net, host } = readCard(folder);
  const found = net.find((each) => each.vuid === vuid);
  if (found?.kind !== 'hotplug PF') throw new Refusal(`no hotplug device ${vuid}`);
  if (!host.on || !host.holds) changeCard(folder, (state) => withoutNet(state, vuid));
  say({ errno: 0, errstr: 'Success' });
}

function modify(): void {
  const [vuid, mac] = [must('-u'), must('-m')];
  changeCard(folder, (state) => {
    if (state.host.on && state.host.driverBound) throw new Refusal('Virtio driver should not be loaded');
    return { ...state, net: state.net.map((each) => (each.vuid === vuid ? { ...each, mac } : each)) };
  });
  say({ errno: 0, errstr: 'Success' });
}

function setMac(handle: string, mac: string): void {
  changeCard(folder, (state) => {
    const vf = state.vfs.find((each) => vfHandle(each.vfnum) === handle);
    if (!vf) throw new Refusal('devlink answers: No such device');
    if (state.host.driverBound) throw new Refusal('devlink answers: Device or resource busy');
    return { ...state, vfs: state.vfs.map((each) => (each === vf ? { ...each, mac } : each)) };
  });
}

function setRate(handle: string, rate: string): void {
  changeCard(folder, (state) => {
    const handles = [...state.vfs.map((each) => vfHandle(each.vfnum)), ...state.net.map((each) => sfHandle(each.sf))];
    if (!handles.includes(handle) || !/^\d+bit$/.test(rate)) throw new Refusal('invalid rate');
    return { ...state, rates: { ...state.rates, [handle]: rate } };
  });
}

function setLink(name: string, words: readonly string[]): void {
  changeCard(folder, (state) => {
    const link = state.links[name];
    if (!link) throw new Refusal(`Cannot find device "${name}"`);
    const alias = option('alias', words) ?? link.alias;
    const up = words.at(-1) === 'up' || (words.at(-1) !== 'down' && link.up);
    return { ...state, links: { ...state.links, [name]: { alias, up } } };
  });
}

function rendered(call: string): string {
  return readFileSync(join(folder, `${call}.json`), 'utf8');
}

const privilege = `Host configurations
-------------------
level                         : RESTRICTED

Port functions status:
-----------------------
disable_rshim                 : TRUE
`;

/** The fault of a call, and what it is about. */
const calls: Readonly<Record<string, () => void>> = {
  'virtnet list': () => say(virtnetList(readCard(folder))),
  'virtnet hotplug': hotplug,
  'virtnet unplug': unplug,
  'virtnet modify': modify,
  'devlink port': () => say(rendered('devlink-port')),
  'devlink set': () => setMac(args[3] ?? '', must('hw_addr')),
  'devlink rate': () => setRate(args[4] ?? '', must('tx_max')),
  'ip link': () => say(rendered('ip-link')),
  'ip set': () => setLink(must('dev'), args.slice(4)),
  'mlxprivhost -d': () => say(privilege),
};

const verb =
  program === 'devlink'
    ? args[1] === 'port'
      ? 'port'
      : args[2] === 'rate'
        ? 'rate'
        : 'set'
    : program === 'ip'
      ? args[1] === 'set'
        ? 'set'
        : 'link'
      : (args[0] ?? '');
const call = `${program} ${verb}`;

const before = readCard(folder).faults.find((each) => each.call === call);
changeCard(folder, (state) => ({
  ...state,
  calls: [...state.calls, [program, ...args].join(' ')],
  faults: state.faults.filter((each) => each !== state.faults.find((other) => other.call === call)),
}));
const parent = process.ppid;
/** For as long as somebody waits for it. */
const hang = (): void => void setInterval(() => process.ppid !== parent && process.exit(), 100);

try {
  const work = calls[call];
  if (!work) throw new Refusal(`unknown: ${[program, ...args].join(' ')}`);
  switch (before?.kind) {
    case 'garbage':
      say('Traceback (most recent call last):\n  File "/usr/bin/virtnet"');
      break;
    case 'hang':
      hang();
      break;
    case 'fail':
      throw new Refusal('Failed to connect to the controller');
    case 'hang-after':
      work();
      hang();
      break;
    case 'fail-after':
      work();
      throw new Refusal('Connection reset');
    default:
      work();
  }
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
