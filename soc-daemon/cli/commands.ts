/** The one table of dpuctl's commands: parsing, help and completion are made from it. */
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { DashboardAccess, Maintenance } from '../../schemas/generated/rest.ts';
import { buildOptions, buildRequest, networkEntry, volumeEntry } from './build-request.ts';
import type { Command, Context, Option } from './command.ts';
import { openConsole, showConsoleLog } from './console.ts';
import { CliError, type ExitCode, exitCode, usage } from './exit-code.ts';
import { change, follow, progressLine } from './follow.ts';
import { guestCommands } from './guest-commands.ts';
import { nodeCommands } from './node-commands.ts';
import { cell } from './output.ts';
import { instancePath, pages } from './resolve.ts';

const noWait: Option = { name: 'no-wait', help: 'do not wait for the end' };
const stateOption: Option = { name: 'state', value: 'STATE', help: 'only in this state' };

function list(words: readonly string[], path: string, name: string, columns: readonly string[], help: string): Command {
  return {
    words,
    help,
    run: async (context) => {
      const rows = await pages(context, path, name);
      context.showRows(rows, rows, columns);
      return exitCode.done;
    },
  };
}

function onInstance(
  verb: string,
  help: string,
  extra: readonly Option[],
  body: (context: Context) => unknown,
): Command {
  return {
    words: ['instance', verb],
    args: ['instance'],
    options: [...extra, noWait],
    help,
    run: async (context) => {
      const sent = body(context);
      return await change(context, 'POST', `${await instancePath(context)}/actions/${verb}`, sent);
    },
  };
}

function attach(what: 'volume' | 'interface', entry: (context: Context) => unknown, option: Option): Command {
  return {
    words: ['instance', `attach-${what}`],
    args: ['instance'],
    options: [option, noWait],
    help: what === 'volume' ? 'adds a disk' : 'adds a NIC',
    run: async (context) => {
      const body = entry(context);
      return await change(context, 'POST', `${await instancePath(context)}/${what}s`, body);
    },
  };
}

function detach(what: 'volume' | 'interface', id: string): Command {
  return {
    words: ['instance', `detach-${what}`],
    args: ['instance', id],
    options: [noWait],
    help: what === 'volume' ? 'takes a disk away' : 'takes a NIC away',
    run: async (context) => {
      const path = `${await instancePath(context)}/${what}s/${encodeURIComponent(context.args[1] ?? '')}`;
      return await change(context, 'DELETE', path);
    },
  };
}

function steer(verb: 'cancel' | 'retry', help: string): Command {
  return {
    words: ['operation', verb],
    args: ['id'],
    options: [noWait],
    help,
    run: async (context) => await change(context, 'POST', `${operationPath(context)}/${verb}`),
  };
}

function operationPath(context: Context): string {
  return `/v1/operations/${encodeURIComponent(context.args[0] ?? '')}`;
}

async function showNode(context: Context): Promise<ExitCode> {
  const node = (await context.client.ask('GET', '/v1/node')) as NodeStatus;
  const reasons = node.not_ready_reasons.map((each) => each.id);
  const warnings = (node.warnings ?? []).map((each) => each.id);
  context.showThing(
    { ...node },
    { ...node, not_ready_reasons: reasons, warnings, instances: node.instances.map((i) => i.name) },
  );
  return exitCode.done;
}

async function showInstance(context: Context): Promise<ExitCode> {
  const instance = (await context.client.ask('GET', await instancePath(context))) as Instance;
  context.showThing(
    { ...instance },
    {
      ...instance,
      task: instance.task === null ? null : `${instance.task.kind} ${cell(instance.task.step)}`,
      flavor: instance.flavor.name,
      interfaces: instance.interfaces.map((i) => `${i.port_id} ${cell(i.mac)} ${cell(i.bdf)} ${cell(i.ips)}`),
      volumes: instance.volumes.map((v) => `${v.volume_id} ${cell(v.bdf)}${v.boot ? ' boot' : ''}`),
      todo: instance.todo?.message ?? null,
    },
  );
  return exitCode.done;
}

async function showOperation(context: Context): Promise<ExitCode> {
  const operation = (await context.client.ask('GET', operationPath(context))) as Operation;
  const { steps, progress, error, ...rest } = operation;
  context.showThing(
    { ...operation },
    {
      ...rest,
      progress: `${progress.done}/${progress.total}`,
      error: error?.message ?? null,
      steps: steps.map((step) => `${step.name} ${step.phase}`),
    },
  );
  return exitCode.done;
}

async function maintain(context: Context, enabled: boolean): Promise<ExitCode> {
  const reason = context.option('reason');
  const body = { enabled, ...(reason === undefined ? {} : { reason }) };
  context.showThing({ ...((await context.client.ask('PUT', '/v1/maintenance', body)) as Maintenance) });
  return exitCode.done;
}

async function watchEvents(context: Context): Promise<ExitCode> {
  try {
    for await (const event of context.client.events(context.signal)) {
      if (context.format !== 'table') context.print(JSON.stringify(event));
      else context.print(`${event.type.padEnd(9)}  ${describe(event.type, event.data)}`);
    }
  } catch (error) {
    if (context.signal.aborted) return exitCode.done; // the user has seen enough
    throw error;
  }
  throw new CliError(exitCode.notReachable, 'the node closed the stream of events');
}

function describe(type: string, data: unknown): string {
  if (type === 'operation') return `${(data as Operation).id} ${progressLine(data as Operation)}`;
  if (type === 'instance')
    return cell(`${(data as Instance).uuid} ${(data as Instance).name} ${(data as Instance).state}`);
  if (type === 'node') return (data as NodeStatus).ready ? 'ready' : 'not ready';
  return 'events were missed';
}

const reboot: Option = { name: 'type', value: 'TYPE', help: 'soft (default) or hard', choices: ['soft', 'hard'] };
const stopTimeout: Option = { name: 'timeout', value: 'SECONDS', help: 'seconds before a hard stop' };
const reasonOption: Option = { name: 'reason', value: 'TEXT', help: 'why' };

/** Every command but `completion`. */
export const commands: readonly Command[] = [
  { words: ['node'], help: 'shows the node', run: showNode },
  { words: ['node', 'show'], help: 'shows the node', run: showNode },
  {
    words: ['instance', 'list'],
    options: [stateOption],
    help: 'lists the instances',
    run: async (context) => {
      const state = context.option('state');
      const path = state === undefined ? '/v1/instances' : `/v1/instances?state=${encodeURIComponent(state)}`;
      const all = (await pages(context, path, 'instances')) as unknown as readonly Instance[];
      const rows = all.map((each) => ({ ...each, flavor: each.flavor.name, task: each.task?.kind ?? null }));
      context.showRows(all, rows, ['uuid', 'name', 'state', 'status', 'flavor', 'task']);
      return exitCode.done;
    },
  },
  { words: ['instance', 'show'], args: ['instance'], help: 'shows one instance', run: showInstance },
  {
    words: ['instance', 'build'],
    options: [...buildOptions, noWait],
    help: 'builds an instance',
    run: async (context) => await change(context, 'POST', '/v1/instances', buildRequest(context)),
  },
  {
    words: ['instance', 'destroy'],
    args: ['instance'],
    options: [
      {
        name: 'wipe',
        value: 'HOW',
        help: 'what becomes of the data of its own volumes: none, discard or zero',
        choices: ['none', 'discard', 'zero'],
      },
      noWait,
    ],
    help: 'takes an instance away',
    run: async (context) => {
      const wipe = context.option('wipe');
      return await change(context, 'DELETE', await instancePath(context), wipe === undefined ? undefined : { wipe });
    },
  },
  {
    words: ['console'],
    args: ['instance'],
    options: [{ name: 'take', help: 'take over from whoever writes' }],
    help: 'opens its serial console; Ctrl-] leaves',
    run: openConsole,
  },
  {
    words: ['instance', 'console-log'],
    args: ['instance'],
    help: 'shows the last of its console',
    run: showConsoleLog,
  },
  {
    words: ['dashboard'],
    options: [{ name: 'read-only', help: 'the browser may look, and change nothing' }],
    help: 'prints an address that lets one browser in, once',
    run: async (context) => {
      const access = (await context.client.ask('POST', '/v1/dashboard', {
        read_only: context.has('read-only'),
      })) as DashboardAccess;
      if (context.format === 'table') context.print(access.url);
      else context.showThing({ ...access });
      return exitCode.done;
    },
  },
  onInstance('start', 'powers it on', [], () => undefined),
  onInstance('stop', 'powers it off', [stopTimeout], (context) => {
    const timeout = context.option('timeout');
    if (timeout !== undefined && !/^\d{1,5}$/.test(timeout)) throw usage('--timeout must be a number of seconds');
    return timeout === undefined ? undefined : { timeout: Number(timeout) };
  }),
  onInstance('reboot', 'restarts it', [reboot], (context) => ({ type: context.option('type') ?? 'soft' })),
  ...guestCommands,
  attach('volume', (context) => ({ volume: volumeEntry(needed(context, 'volume')) }), {
    name: 'volume',
    value: 'id=ID',
    help: 'the disk; read_only is possible too',
  }),
  detach('volume', 'volume-id'),
  {
    words: ['instance', 'snapshot'],
    args: ['instance', 'volume-id'],
    options: [{ name: 'name', value: 'NAME', help: 'what to call it' }, noWait],
    help: 'takes a snapshot of a disk',
    run: async (context) => {
      const name = context.option('name');
      const body = { volume_id: context.args[1], ...(name === undefined ? {} : { name }) };
      return await change(context, 'POST', `${await instancePath(context)}/snapshots`, body);
    },
  },
  {
    words: ['instance', 'resize-volume'],
    args: ['instance', 'volume-id', 'gib'],
    options: [noWait],
    help: 'grows a disk, in use or not',
    run: async (context) => {
      const [, volume = '', gib = ''] = context.args;
      if (!/^\d{1,6}$/.test(gib)) throw usage('the size is a whole number of GiB');
      const path = `${await instancePath(context)}/volumes/${encodeURIComponent(volume)}/resize`;
      return await change(context, 'POST', path, { size_bytes: Number(gib) * 1024 ** 3 });
    },
  },
  {
    words: ['instance', 'limit'],
    args: ['instance', 'port-id'],
    options: [
      { name: 'bps', value: 'N', help: 'bits per second; none or 0: no limit' },
      { name: 'pps', value: 'N', help: 'packets per second; none or 0: no limit' },
      {
        name: 'direction',
        value: 'WAY',
        help: 'egress, ingress or both (default)',
        choices: ['egress', 'ingress', 'both'],
      },
      noWait,
    ],
    help: 'limits a NIC; what is not named is not limited any more',
    run: async (context) => {
      const number = (name: string): number => {
        const text = context.option(name) ?? '0';
        if (!/^\d{1,15}$/.test(text)) throw usage(`--${name} must be a number`);
        return Number(text);
      };
      const direction = context.option('direction') ?? 'both';
      const path = `${await instancePath(context)}/interfaces/${encodeURIComponent(context.args[1] ?? '')}/qos`;
      return await change(context, 'PUT', path, { bps: number('bps'), pps: number('pps'), direction });
    },
  },
  attach('interface', (context) => ({ network: networkEntry(needed(context, 'network')) }), {
    name: 'network',
    value: 'subnet=NAME[,mac=MAC]',
    help: 'the NIC, or port_id=ID',
  }),
  detach('interface', 'port-id'),
  {
    words: ['operation', 'list'],
    options: [stateOption],
    help: 'lists the operations',
    run: async (context) => {
      const state = context.option('state');
      const path = state === undefined ? '/v1/operations' : `/v1/operations?state=${encodeURIComponent(state)}`;
      const all = (await pages(context, path, 'operations')) as unknown as readonly Operation[];
      const rows = all.map((each) => ({
        ...each,
        progress: `${each.progress.done}/${each.progress.total}`,
        error: each.error?.code ?? null,
      }));
      context.showRows(all, rows, ['id', 'kind', 'instance', 'state', 'progress', 'error', 'created_at']);
      return exitCode.done;
    },
  },
  { words: ['operation', 'show'], args: ['id'], help: 'shows one operation with its steps', run: showOperation },
  {
    words: ['operation', 'watch'],
    args: ['id'],
    help: 'waits for the end of an operation',
    run: async (context) =>
      await follow(context, (await context.client.ask('GET', operationPath(context))) as Operation),
  },
  steer('cancel', 'undoes an operation'),
  steer('retry', 'goes on with a stuck operation'),
  list(
    ['function', 'list'],
    '/v1/functions',
    'functions',
    ['id', 'type', 'class', 'bdf', 'bdf_state', 'representor', 'plugged', 'phase', 'owner', 'instance'],
    'lists the PCIe functions',
  ),
  list(
    ['binding', 'list'],
    '/v1/bindings',
    'bindings',
    ['function_id', 'kind', 'port_id', 'volume_id', 'representor', 'bdev', 'mac', 'phase', 'instance'],
    'lists what functions are bound to',
  ),
  {
    words: ['maintenance', 'show'],
    help: 'shows whether new instances are refused',
    run: async (context) => {
      context.showThing({ ...((await context.client.ask('GET', '/v1/maintenance')) as Maintenance) });
      return exitCode.done;
    },
  },
  {
    words: ['maintenance', 'on'],
    options: [reasonOption],
    help: 'refuses new instances',
    run: (c) => maintain(c, true),
  },
  { words: ['maintenance', 'off'], help: 'accepts new instances again', run: (c) => maintain(c, false) },
  { words: ['events'], help: 'shows what happens, as it happens', run: watchEvents },
  list(
    ['platform', 'requests'],
    '/v1/platform/requests',
    'requests',
    ['created_at', 'method', 'instance', 'state', 'id', 'left'],
    'shows what the platform asked for',
  ),
  {
    words: ['platform', 'retry'],
    args: ['id'],
    help: 'goes on with a stuck request of the platform',
    run: async (context) => {
      await context.client.ask('POST', `/v1/platform/requests/${encodeURIComponent(context.args[0] ?? '')}/retry`);
      return exitCode.done;
    },
  },
  list(['audit'], '/v1/audit', 'audit', ['at', 'by', 'action', 'instance', 'operation'], 'shows who changed what'),
  ...nodeCommands,
];

function needed(context: Context, name: string): string {
  const value = context.option(name);
  if (value === undefined) throw usage(`--${name} is missing`);
  return value;
}
