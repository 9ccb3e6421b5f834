import { DpuError } from '../../core/errors.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import { ownPower } from '../../core/power-owner.ts';
import type { Caller } from './call.ts';
import { isServed, type SimContext } from './context.ts';

/** The host's BMC behind its port. */
export function simPower(context: SimContext, call: Caller): PowerController {
  const { host, faults, options, state } = context;
  return ownPower(context.clock, {
    getPower: (signal) =>
      call({ method: 'getPower', key: 'host', signal, reads: true, effect: () => host.row().power }),
    powerOn: (signal) =>
      call({
        method: 'powerOn',
        key: 'host',
        signal,
        before: async (wait) => {
          host.settle();
          const shutdown = host.shutdownEndsInMs();
          if (shutdown !== null) await wait(shutdown);
          host.settle();
          if (host.row().power === 'off' && options.timing.powerOnMs > 0) await wait(options.timing.powerOnMs);
        },
        effect: () => {
          if (host.row().power === 'on') return;
          for (const each of state.functions.rows()) {
            if (each.mark !== null && each.plugged && !isServed(state, each)) {
              context.violate('powered-on-unserved', each.id, 'plugged with nothing behind it');
            }
          }
          host.switchOn();
        },
      }),
    powerOff: (mode, softTimeoutMs, signal) =>
      call({
        method: 'powerOff',
        key: 'host',
        signal,
        effect: () => {
          if (mode === 'hard') host.switchOff();
          if (host.row().power === 'off') return;
          const ignored = faults.take({ port: 'power', method: 'powerOff', key: 'host' }, 'ignores-soft-off');
          if (ignored === undefined) host.beginShutdown(options.timing.shutdownMs);
          else if (ignored.ms !== undefined) host.beginShutdown(ignored.ms);
        },
        after: async (wait) => {
          if (host.row().power === 'off') return;
          const rest = host.shutdownEndsInMs() ?? Number.POSITIVE_INFINITY;
          await wait(Math.min(rest, softTimeoutMs));
          host.settle();
          if (host.row().power === 'on') throw new DpuError('timeout', 'host did not shut down in time');
        },
      }),
    reset: (signal) =>
      call({
        method: 'reset',
        key: 'host',
        signal,
        effect: () => {
          if (host.row().power === 'off') throw new DpuError('bad_state', 'host is off');
          host.switchOff();
          host.switchOn();
        },
      }),
    setNextBoot: (target, signal) =>
      call({ method: 'setNextBoot', key: target.functionId, signal, effect: () => host.setNextBoot(target) }),
    inventory: (signal) =>
      call({
        method: 'inventory',
        key: 'host',
        signal,
        reads: true,
        effect: () => ({
          serialNumber: options.host.serialNumber,
          model: 'Simulated server',
          cpus: options.host.cpus,
          memoryMib: options.host.memoryMib,
          manufacturer: null,
          nics: [],
          disks: [],
        }),
      }),
  });
}
