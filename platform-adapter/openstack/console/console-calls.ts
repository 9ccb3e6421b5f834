import { hasCode } from '../../../core/errors.ts';
import type { Machines } from '../../../core/ports/compute-driver.ts';
import type { ComputeService } from '../../../core/ports/compute-service.ts';
import { asId, type InstanceId } from '../../../core/units.ts';
import type { CallHandler } from '../rpc/server.ts';
import type { NovaRpc } from '../wire/conductor.ts';
import { authorizeConsole } from '../wire/console-tokens.ts';
import { elevated } from '../wire/context.ts';
import { type NovaInstance, readInstance } from '../wire/instances.ts';
import { novaError } from '../wire/nova-errors.ts';
import type { ConsoleBackends } from './backends.ts';

/** Where users and nova's proxies find consoles. */
export interface ConsoleSettings {
  /** Where nova's proxies reach this node. */
  readonly address: string;
  readonly proxies: readonly string[];
  /** nova-serialproxy as users reach it; null: no serial console. */
  readonly serialUrl: string | null;
  /** nova-novncproxy as users reach it; null: no VNC console. */
  readonly vncUrl: string | null;
}

/** What calls for consoles are answered with. */
export interface ConsoleCallParts {
  readonly nova: NovaRpc;
  readonly service: Pick<ComputeService, 'getInstance'>;
  readonly settings: ConsoleSettings;
  /** Ports that show serial consoles; null: the node has none. */
  readonly serial: ConsoleBackends | null;
  /** Screens of machines, and ports that show them; null: the node has none. */
  readonly screens: (Pick<Machines, 'vncAddress'> & { readonly backends: ConsoleBackends }) | null;
}

/** How long a token is good, in seconds: nova's [consoleauth]token_ttl. */
const tokenSec = 600;

/** Where a console is: what its token leads nova's proxy to. */
interface Place {
  readonly host: string;
  readonly port: number;
}

/** get_serial_console, get_vnc_console and validate_console_port. The token that they make is in the answer and nowhere else. */
export function consoleCalls(parts: ConsoleCallParts): Readonly<Record<string, CallHandler>> {
  const { nova, settings, serial, screens, service } = parts;

  /** @throws InstanceNotFound, InstanceNotReady (it is built still) as nova's classes. */
  function here(instance: NovaInstance): void {
    try {
      service.getInstance(instance.uuid);
    } catch (cause) {
      const name = instance.vm_state === 'building' ? 'InstanceNotReady' : 'InstanceNotFound';
      throw novaError(name, { instance_id: instance.uuid }, { cause });
    }
  }

  const placeOn = async (backends: ConsoleBackends, instance: string): Promise<Place> => ({
    host: settings.address,
    port: await backends.open(instance, tokenSec * 1000),
  });

  /** @throws InstanceNotReady as nova's class: it is off. */
  async function screenOf(instance: string, signal: AbortSignal): Promise<Place | null> {
    if (screens === null) return null;
    try {
      await screens.vncAddress(asId<InstanceId>(instance), signal);
    } catch (cause) {
      if (hasCode(cause, 'unsupported')) return null;
      if (hasCode(cause, 'bad_state') || hasCode(cause, 'not_found'))
        throw novaError('InstanceNotReady', { instance_id: instance }, { cause });
      throw cause;
    }
    return await placeOn(screens.backends, instance);
  }

  const answered =
    (
      types: readonly string[],
      base: string | null,
      place: (instance: string, signal: AbortSignal) => Promise<Place | null>,
    ): CallHandler =>
    async (args, { received, signal }) => {
      const instance = readInstance(args.instance, 'instance');
      const type = typeof args.console_type === 'string' ? args.console_type : '';
      if (base === null) throw novaError('ConsoleTypeUnavailable', { console_type: type });
      if (!types.includes(type)) throw novaError('ConsoleTypeInvalid', { console_type: type });
      here(instance);
      const found = await place(instance.uuid, signal);
      if (found === null) throw novaError('ConsoleTypeUnavailable', { console_type: type });
      const conductor = nova.conductor({ ...received, context: elevated(received.context), signal });
      const target = {
        ...found,
        console_type: type,
        internal_access_path: null,
        instance_uuid: instance.uuid,
        access_url_base: base,
      };
      const token = await authorizeConsole(conductor, target, tokenSec);
      return { ...found, internal_access_path: null, token, access_url: accessUrl(type, base, token) };
    };

  return {
    get_serial_console: answered(['serial'], serial === null ? null : settings.serialUrl, async (instance) =>
      serial === null ? null : await placeOn(serial, instance),
    ),
    get_vnc_console: answered(['novnc'], screens === null ? null : settings.vncUrl, screenOf),
    async validate_console_port(args) {
      const { uuid } = readInstance(args.instance, 'instance');
      const port = Number(args.port);
      if (!Number.isInteger(port)) return false;
      if (args.console_type === 'serial') return serial?.isOpen(uuid, port) ?? false;
      if (args.console_type === 'novnc') return screens?.backends.isOpen(uuid, port) ?? false;
      return false;
    },
  };
}

/** As ConsoleAuthToken.access_url of nova has it: noVNC takes the token within its path. */
function accessUrl(type: string, base: string, token: string): string {
  return type === 'novnc' ? `${base}?path=${encodeURIComponent(`?token=${token}`)}` : `${base}?token=${token}`;
}
