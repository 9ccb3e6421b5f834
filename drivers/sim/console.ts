import { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { HostConsole } from '../../core/ports/host-console.ts';
import type { HostRow } from './rows.ts';

/** What the console shows of whatever it is of. */
type Shown = Pick<HostRow, 'power' | 'boots' | 'bootedFrom'>;

const lookMs = 200;

/**
 * The serial console of the simulated host or of a machine on it: it tells of its boots, gives a prompt and echoes what is typed. It ends when
 * there is nothing any more (null) that it could be of.
 */
export function simConsole(clock: Clock, of: 'host' | 'machine', row: () => Shown | null): HostConsole {
  return {
    open: async () => {
      let shown = '';
      let timer: Timer | undefined;
      const stream = new Duplex({
        read() {},
        write(bytes: Buffer, _encoding, done) {
          if (row()?.power === 'on') stream.push(bytes.toString('latin1').replaceAll('\r', `\r\n${of} login: `));
          done();
        },
        destroy(error, done) {
          timer?.cancel();
          done(error);
        },
      });
      function look(): void {
        const seen = row();
        if (seen === null) {
          stream.destroy();
          return;
        }
        const { power, boots, bootedFrom } = seen;
        const now = power === 'on' ? `boot ${boots} from ${bootedFrom ?? 'nothing'}` : 'power off';
        if (now !== shown) stream.push(`\r\nSimulated ${of}: ${now}\r\n${power === 'on' ? `${of} login: ` : ''}`);
        shown = now;
        if (!stream.destroyed) timer = clock.timer(lookMs, look);
      }
      look();
      return await Promise.resolve(stream);
    },
  };
}
