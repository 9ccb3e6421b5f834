import { dirname, resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import { readConfigFile } from '../kit/config-file.ts';
import type { SnicConfig } from '../schemas/generated/snic-config.ts';

type Part<Key extends keyof SnicConfig> = NonNullable<SnicConfig[Key]>;
type Backends = Part<'backend'>;
type Bluefield = NonNullable<Backends['bluefield']>;
type Socket = Part<'socket'>;

/** The configuration with its defaults filled in and its paths absolute. */
export interface LoadedSnicConfig {
  readonly file: string;
  readonly state_dir: string;
  readonly socket: Required<Omit<Socket, 'group'>> & Pick<Socket, 'group'>;
  readonly backend: Pick<Backends, 'kind' | 'virtual'> & {
    readonly sim: Required<NonNullable<Backends['sim']>>;
    readonly bluefield?: Omit<Bluefield, 'model' | 'network' | 'programs' | 'vfs'> & {
      readonly model: string;
      readonly programs: Required<NonNullable<Bluefield['programs']>>;
      readonly network?: Required<NonNullable<Bluefield['network']>>;
      readonly vfs?: Required<NonNullable<Bluefield['vfs']>>;
    };
  };
  readonly log: Required<Part<'log'>>;
}

/** Reads snic-controller's configuration. @throws DpuError `invalid` with `file:line`: an unknown key refuses to start. */
export function loadSnicConfig(path: string): LoadedSnicConfig {
  return readConfigFile<SnicConfig, LoadedSnicConfig>(path, {
    schema: 'snic-config.json',
    resolve: resolvePaths,
    check,
  });
}

/** @throws DpuError `invalid` for a kind of backend without its settings. */
function check({ backend }: LoadedSnicConfig): void {
  if (backend.kind === 'sim' || backend[backend.kind] !== undefined) return;
  throw new DpuError('invalid', `backend.kind ${backend.kind} needs backend.${backend.kind}`, {
    field: `backend.${backend.kind}`,
  });
}

function resolvePaths(file: string, config: SnicConfig): LoadedSnicConfig {
  const base = dirname(file);
  const state_dir = resolve(base, config.state_dir);
  const { socket, backend } = config as Required<SnicConfig>;
  const { virtual, bluefield } = backend;
  return {
    ...(config as Required<SnicConfig>),
    file,
    state_dir,
    socket: {
      ...socket,
      path: socket.path === undefined ? resolve(state_dir, 'snic.sock') : resolve(base, socket.path),
    },
    backend: {
      ...backend,
      ...(virtual && {
        virtual: {
          ...virtual,
          qmp: resolve(base, virtual.qmp),
          front: { ...virtual.front, path: resolve(base, virtual.front.path) },
        },
      }),
      ...(bluefield && { bluefield: resolveBluefield(base, bluefield) }),
    },
  } as LoadedSnicConfig;
}

function resolveBluefield(base: string, { programs = {}, snap_socket, ...rest }: Bluefield): Bluefield {
  // a bare name is looked up in PATH
  const paths = Object.entries(programs).map(([name, path]) => [name, path.includes('/') ? resolve(base, path) : path]);
  return {
    ...rest,
    ...(snap_socket === undefined ? {} : { snap_socket: resolve(base, snap_socket) }),
    programs: Object.fromEntries(paths) as NonNullable<Bluefield['programs']>,
  };
}
