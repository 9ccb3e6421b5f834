/** What OpenIPMI's ipmi_sim is told: ipmi_lan(5), ipmi_sim_cmd(5). */
import type { MachinePower } from './machine.ts';

/** Where everything of one ipmi_sim is. */
export interface IpmiSimFiles {
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** The host's uuid. */
  readonly uuid: string;
  /** A pseudo terminal that is the host's serial line. */
  readonly terminal: string;
  /** The program that is asked for power and boot device. */
  readonly chassisProgram: string;
  readonly fruFile: string;
  readonly fruBytes: number;
}

/** lan.conf. User 1, whom IPMI lets in without a name, is absent. */
export function lanConf(files: IpmiSimFiles): string {
  return [
    'name "vdpu-bmc"',
    'set_working_mc 0x20',
    'startlan 1',
    `  addr 127.0.0.1 ${files.port}`,
    '  priv_limit admin',
    ...['callback', 'user', 'operator', 'admin'].map((level) => `  allowed_auths_${level} md5`),
    `  guid ${files.uuid.replaceAll('-', '')}`,
    'endlan',
    `sol "${files.terminal}" 115200 history=16000`,
    `chassis_control "${files.chassisProgram} 0x20"`,
    `user 2 true "${files.username}" "${files.password}" admin 10 md5`,
    '',
  ].join('\n');
}

/** Temperature at the air inlet: an 8-bit reading in degrees (IPMI 2.0 43.1, Full Sensor Record). */
const INLET_SDR = [
  ...[0x00, 0x00, 0x51, 0x01, 0x30, 0x20, 0x00, 0x01, 0x03, 0x01, 0x67, 0x88, 0x01, 0x01, 0xc0, 0x7f, 0xc0, 0x7f],
  ...[0x38, 0x38, 0x00, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x60, 0xb0, 0x00, 0xb0, 0x00],
  ...[0xa0, 0x90, 0x70, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc5, ...Buffer.from('Inlet', 'latin1')],
];

/** The emulation: one management controller with inventory, a sensor and an event log. ipmi_sim stops reading at the first line that it does not like. */
export function emulation(files: IpmiSimFiles): string {
  return [
    'mc_setbmc 0x20',
    'mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr',
    'sel_enable 0x20 1000 0x0a',
    `mc_add_fru_data 0x20 0 ${files.fruBytes} file 0 "${files.fruFile}"`,
    'sensor_add 0x20 0 1 0x01 0x01',
    'sensor_set_value 0x20 0 1 0x19 0',
    'sensor_set_threshold 0x20 0 1 settable 111000 0xa0 0x90 0x70 00 00 00',
    `sensor_set_event_support 0x20 0 1 enable scanning per-state ${Array(4).fill('000111111000000').join(' ')}`,
    `main_sdr_add 0x20 ${INLET_SDR.map(hex).join(' ')}`,
    'mc_enable 0x20',
    '',
  ].join('\n');
}

/** The command that logs a change of power: System ACPI Power State, S0 or S5 (IPMI 2.0 table 42-3, sensor type 22h). */
export function powerLogCommand(power: Exclude<MachinePower, 'Unknown'>, at: Date): string {
  const time = Buffer.alloc(4);
  time.writeUInt32LE(Math.floor(at.getTime() / 1000));
  const event = [0x02, ...time, 0x20, 0x00, 0x04, 0x22, 0x02, 0x6f, power === 'On' ? 0x00 : 0x05, 0xff, 0xff];
  return `sel_add 0x20 ${event.map(hex).join(' ')}\n`;
}

/** The chassis program: hands its arguments to the service, whose answer goes to ipmi_sim. */
export function chassisScript(controlSocket: string): string {
  return [
    '#!/bin/sh',
    '# ipmi_sim asks for power and boot device by this program; the BMC service knows them.',
    `answer=$(printf 'chassis %s\\n' "$*" | socat -t5 -T10 - 'UNIX-CONNECT:${controlSocket}') || exit 1`,
    `case $answer in error*) exit 1 ;; esac`,
    `printf '%s\\n' "$answer"`,
    '',
  ].join('\n');
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
