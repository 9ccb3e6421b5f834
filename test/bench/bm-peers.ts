/** What scripts do for the same: a port by `ovs-vsctl`, and boot device and power by `ipmitool`. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { runInSoc } from '../../virtual-dpu/soc.ts';

const run = promisify(execFile);

/** A representor that no function has: the last slot's. */
const representor = 'bench0';

/** Milliseconds of each. */
export interface PeerTimes {
  /** `ovs-vsctl add-port` with the identity, and one that reads whether it is good. */
  readonly bind: number;
  /** `ipmitool chassis bootdev`, `power on`, and `power status` until it says so. */
  readonly start: number;
}

/** The scripts, ready to be run on a host that is off. */
export interface Scripts {
  turn(): Promise<PeerTimes>;
  close(): Promise<void>;
}

/** Makes what they need: a tap to bind. */
export async function openScripts(dpu: VirtualDpu): Promise<Scripts> {
  const { network, bmc } = dpu;
  await runInSoc(dpu, ['ip', 'tuntap', 'add', 'dev', representor, 'mode', 'tap']);
  const vsctl = async (...args: string[]): Promise<string> =>
    (await run('ovs-vsctl', ['--timeout=10', `--db=${network.ovsdb}`, ...args])).stdout.trim();
  const { username, passwordFile, ipmi } = bmc;
  const to = [
    '-I',
    'lanplus',
    '-C',
    '3',
    '-H',
    ipmi.address,
    '-p',
    String(ipmi.port),
    '-U',
    username,
    '-f',
    passwordFile,
  ];
  const tool = async (...args: string[]): Promise<string> => (await run('ipmitool', [...to, ...args])).stdout;
  const until = async (state: 'on' | 'off'): Promise<void> => {
    while (!(await tool('power', 'status')).includes(`is ${state}`));
  };
  return {
    async turn() {
      let begun = performance.now();
      const ids = ['iface-id=bench', 'attached-mac="02:00:00:00:be:02"', 'iface-status=active', 'vm-uuid=bench'];
      const set = ids.map((each) => `external_ids:${each}`);
      await vsctl('add-port', network.bridge, representor, '--', 'set', 'interface', representor, ...set);
      const [ofport, error] = (await vsctl('get', 'interface', representor, 'ofport', 'error')).split('\n');
      if (!(Number(ofport) > 0) || error !== '[]') throw new Error(`port ${representor} is not good: ${error}`);
      const bind = performance.now() - begun;
      await vsctl('del-port', network.bridge, representor);
      begun = performance.now();
      await tool('chassis', 'bootdev', 'disk');
      await tool('power', 'on');
      await until('on');
      const start = performance.now() - begun;
      await tool('power', 'off');
      await until('off');
      return { bind, start };
    },
    close: async () => void (await runInSoc(dpu, ['ip', 'link', 'del', representor])),
  };
}
