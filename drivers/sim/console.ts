import { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { HostConsole } from '../../core/ports/host-console.ts';
import type { HostRow } from './rows.ts';

const lookMs = 200;

/** The simulated host's serial console: it tells of its boots, gives a prompt and echoes what is typed. */
export function simConsole(clock: Clock, row: () => HostRow): HostConsole {
  return {
    open: async () => {
      let shown = '';
      let timer: Timer | undefined;
      const stream = new Duplex({
        read() {},
        write(bytes: Buffer, _encoding, done) {
          if (row().power === 'on') stream.push(bytes.toString('latin1').replaceAll('\r', '\r\nhost login: '));
          done();
        },
        destroy(error, done) {
          timer?.cancel();
          done(error);
        },
      });
      function look(): void {
        const { power, boots, bootedFrom } = row();
        const now = power === 'on' ? `boot ${boots} from ${bootedFrom ?? 'nothing'}` : 'power off';
        if (now !== shown) stream.push(`\r\nSimulated host: ${now}\r\n${power === 'on' ? 'host login: ' : ''}`);
        shown = now;
        if (!stream.destroyed) timer = clock.timer(lookMs, look);
      }
      look();
      return await Promise.resolve(stream);
    },
  };
}
