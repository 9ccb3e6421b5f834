/** The BMC's process: Redfish, the host's serial line for many, and the socket that ipmi_sim asks. Its argument is the file of its options. */
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { chassisCall } from './chassis.ts';
import { type BmcStatus, listenControl } from './control.ts';
import { type BmcFiles, bmcFiles } from './files.ts';
import { openHost } from './host-control.ts';
import { powerLogCommand } from './ipmi-files.ts';
import type { MachinePower } from './machine.ts';
import type { HostFacts } from './redfish/model.ts';
import { type RedfishService, startRedfish } from './redfish/server.ts';
import { openSessions } from './redfish/sessions.ts';
import { DEFAULT_RULES, parseRules } from './rules.ts';
import { openSerialHub } from './serial.ts';
import { openState } from './state.ts';

/** What the service is started with. */
export interface ServiceOptions {
  readonly stateDir: string;
  readonly facts: HostFacts;
  /** The host's QMP socket for its BMC, and its serial socket. */
  readonly qmp: string;
  readonly serial: string;
  readonly username: string;
  /** Where Redfish listens if it can. */
  readonly redfishPort: number;
  readonly ipmiPort: number;
}

const options = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ServiceOptions;
const files = bmcFiles(options.stateDir);
const store = openState(files.stateFile);
let redfish: RedfishService | undefined;
let logged: MachinePower = 'Unknown';

const host = openHost(options.qmp, store, (power) => {
  if (power === 'Unknown') return;
  redfish?.powerChanged(power);
  if (power !== logged && logged !== 'Unknown') logPower(files, power);
  logged = power;
});
rmSync(files.serialSocket, { force: true });
const serial = await openSerialHub(options.serial, files.serialSocket);
const start = (port: number): Promise<RedfishService> =>
  startRedfish({
    port,
    keyFile: files.keyFile,
    certificateFile: files.certificateFile,
    host,
    store,
    sessions: openSessions(options.username, readFileSync(files.passwordFile, 'utf8').trim()),
    facts: options.facts,
    ipmiPort: options.ipmiPort,
  });
redfish = await start(options.redfishPort).catch((error: NodeJS.ErrnoException) => {
  if (error.code === 'EADDRINUSE') return start(0);
  throw error;
});
const service = redfish;

const control = await listenControl(files.controlSocket, async (word, rest) => {
  if (word === 'chassis') return await chassisCall(rest.split(' ').filter(Boolean), host, store);
  if (word === 'rules') {
    store.set({ rules: parseRules(JSON.parse(rest), DEFAULT_RULES) });
    service.rulesChanged();
  }
  const status: BmcStatus = { redfishPort: service.port, power: await host.power() };
  return `${JSON.stringify(status)}\n`;
});

async function stop(): Promise<void> {
  host.close();
  await Promise.all([service.close(), serial.close(), control.close()]);
  process.exit(0);
}
process.on('SIGTERM', () => void stop());
process.on('SIGINT', () => void stop());

/** Tells ipmi_sim's event log; one that does not run has none. */
function logPower({ simInput }: BmcFiles, power: Exclude<MachinePower, 'Unknown'>): void {
  try {
    const pipe = openSync(simInput, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(pipe, powerLogCommand(power, new Date()));
    closeSync(pipe);
  } catch (error) {
    process.stderr.write(`not logged: ${(error as NodeJS.ErrnoException).code}\n`);
  }
}
