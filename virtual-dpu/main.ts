/** `npx virtual-dpu`: a server with a DPU out of real parts. What is for programs goes to standard output, progress to standard error. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { DpuError, hasCode } from '../core/errors.ts';
import { type Command, HELP, parseCommand } from './cli.ts';
import { examine } from './doctor.ts';
import { IMAGE_USAGE, imageCommand } from './image/command.ts';
import { ipNetnsExec } from './netns.ts';
import { showFindings, showStatus, showUp } from './show.ts';
import { socEnvironment } from './soc.ts';
import { down, readVirtualDpu, restart, status, up } from './virtual-dpu.ts';

const say = (line: string): void => console.error(line);

/** Does what a command asks for; answers the exit status. */
async function perform(command: Command): Promise<number> {
  switch (command.kind) {
    case 'help':
      console.log(HELP);
      return 0;
    case 'up': {
      const begun = performance.now();
      const dpu = await up({ ...command.options, log: say });
      say(`up (${((performance.now() - begun) / 1000).toFixed(2)} s)`);
      console.log(command.json ? JSON.stringify(dpu, null, 2) : showUp(dpu));
      return 0;
    }
    case 'down': {
      const strangers = await down({ stateDir: command.stateDir, log: say });
      if (strangers.length > 0)
        say(`left alone: processes of others in its network namespace: ${strangers.join(', ')}`);
      say('down');
      return 0;
    }
    case 'status': {
      const found = await status(command.stateDir);
      console.log(command.json ? JSON.stringify(found, null, 2) : showStatus(found));
      return { up: 0, partly: 1, down: 3 }[found.state];
    }
    case 'restart':
      console.log(showUp(await restart(command.stateDir, command.part, say)));
      return 0;
    case 'doctor': {
      const findings = await examine(command.stateDir);
      console.log(command.json ? JSON.stringify(findings, null, 2) : showFindings(findings));
      return findings.some(({ level }) => level === 'fail') ? 1 : 0;
    }
    case 'console':
      return await openConsole(command.stateDir, command.log);
    case 'exec': {
      const dpu = await readVirtualDpu(command.stateDir);
      const netns = command.tenant ? dpu.network.tenant?.netns : dpu.network.netns;
      if (netns === undefined) throw new DpuError('bad_state', `${dpu.name} is up without a tenant network`);
      return await inTerminal(ipNetnsExec(netns, command.argv), socEnvironment(dpu));
    }
    case 'image':
      if (command.argv.includes('--help') || command.argv.includes('-h')) console.log(IMAGE_USAGE);
      else await imageCommand(command.argv);
      return 0;
  }
}

/** The BMC is the one client of the console, and SOL the way through it: IPMI 2.0 15. */
async function openConsole(stateDir: string, log: boolean): Promise<number> {
  const { bmc, host } = await readVirtualDpu(stateDir);
  if (log) {
    await pipeline(createReadStream(host.serialLog), process.stdout, { end: false });
    return 0;
  }
  const { address, port } = bmc.ipmi;
  const where = ['-I', 'lanplus', '-C', '3', '-H', address, '-p', String(port)];
  return await inTerminal(['ipmitool', ...where, '-U', bmc.username, '-f', bmc.passwordFile, 'sol', 'activate'], {});
}

/** Runs a program in this terminal; answers its exit status. */
async function inTerminal(
  [file, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  // A terminal sends its Ctrl-C to both of us: the program decides what it means.
  process.on('SIGINT', () => undefined);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } catch (error) {
    throw new DpuError('unavailable', `${file} can't be started`, { cause: error });
  }
}

async function main(argv: readonly string[]): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(argv);
  } catch (error) {
    if (!hasCode(error, 'invalid')) throw error;
    say(`virtual-dpu: ${error.message} (npx virtual-dpu --help shows what there is)`);
    return 2;
  }
  try {
    return await perform(command);
  } catch (error) {
    if (!(error instanceof DpuError)) throw error;
    say(`virtual-dpu: ${error.message}`);
    const some = command.kind === 'up' && (await status(command.options.stateDir)).state !== 'down';
    if (some) say('virtual-dpu: what came up stays: up goes on from there, down ends it');
    return error.code === 'invalid' ? 2 : 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
