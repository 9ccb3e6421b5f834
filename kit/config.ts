import { dirname, resolve } from 'node:path';
import type { SocDaemonConfig } from '../schemas/generated/config.ts';
import { readConfigFile } from './config-file.ts';

/** A type with everything that has a default present; what has none stays optional. */
type WithDefaults<Type, Optional extends string> = {
  readonly [Key in keyof Type as Key extends Optional ? Key : never]: Type[Key];
} & {
  readonly [Key in keyof Type as Key extends Optional ? never : Key]-?: Type[Key];
};
type Part<Key extends keyof SocDaemonConfig> = NonNullable<SocDaemonConfig[Key]>;
type Subnet = NonNullable<Part<'catalogue'>['subnets']>[string];
type OpenStack = NonNullable<Part<'platform'>['openstack']>;
type OpenStackOptional =
  | 'transport_url_file'
  | 'password_file'
  | 'application_credential'
  | 'region'
  | 'ca_file'
  | 'volume_type'
  | 'availability_zone';

/** What the node needs of an OpenStack control plane, with its defaults filled in and its paths absolute. */
export type OpenStackConfig = WithDefaults<Omit<OpenStack, 'console' | 'rpc'>, OpenStackOptional> & {
  readonly console: WithDefaults<NonNullable<OpenStack['console']>, 'serial_url' | 'vnc_url'>;
  readonly rpc: Required<NonNullable<OpenStack['rpc']>>;
};

/** The daemon's configuration with its defaults filled in and its paths absolute. */
export interface LoadedConfig {
  readonly file: string;
  readonly profile: SocDaemonConfig['profile'];
  readonly node: WithDefaults<Part<'node'>, 'uuid'>;
  readonly state_dir: string;
  readonly store: { readonly key_file?: string };
  readonly amqp: WithDefaults<Part<'amqp'>, 'transport_url_file'> | null;
  readonly platform: {
    readonly kind: NonNullable<Part<'platform'>['kind']>;
    /** null: the file has no such group. */
    readonly openstack: OpenStackConfig | null;
  };
  readonly rest: WithDefaults<Part<'rest'>, 'tcp' | 'socket'> & { readonly socket: string };
  readonly operations: Required<Part<'operations'>>;
  readonly reports: Required<Part<'reports'>>;
  readonly reconcile: Required<Part<'reconcile'>>;
  readonly retention: Required<Part<'retention'>>;
  readonly disk: Required<Part<'disk'>>;
  readonly clock: Required<Part<'clock'>>;
  readonly catalogue: {
    readonly flavors: NonNullable<Part<'catalogue'>['flavors']>;
    readonly subnets: Readonly<
      Record<string, WithDefaults<Subnet, 'gateway' | 'pool' | 'vlan' | 'trunks' | 'mtu' | 'dns'>>
    >;
  };
  readonly instances: WithDefaults<Part<'instances'>, 'rescue_image'>;
  readonly functions: Required<Part<'functions'>>;
  readonly network: WithDefaults<Omit<Part<'network'>, 'local'>, 'tls' | 'run_dir'> & {
    readonly local: WithDefaults<NonNullable<Part<'network'>['local']>, 'netns'>;
  };
  readonly storage: WithDefaults<Part<'storage'>, 'images_dir' | 'volumes_dir' | 'nbd_socket' | 'host_nqn'> & {
    readonly images_dir: string;
    readonly volumes_dir: string;
  };
  readonly host: WithDefaults<
    Omit<Part<'host'>, 'ipmi' | 'hardware' | 'bios'>,
    'redfish' | 'username' | 'password_file' | 'smbios_file'
  > & {
    readonly ipmi?: Required<NonNullable<Part<'host'>['ipmi']>>;
    readonly hardware: NonNullable<Part<'host'>['hardware']>;
    readonly bios: WithDefaults<NonNullable<Part<'host'>['bios']>, 'baseline' | 'required'>;
  };
  readonly sim: WithDefaults<Part<'sim'>, 'world_file'>;
  readonly log: Required<Part<'log'>>;
}

/**
 * Reads the configuration: one YAML file, checked by its schema and then by `check`, which looks at what a schema can't.
 * @throws DpuError `invalid` with `file:line`, for whatever is wrong with it: an unknown key refuses to start.
 */
export function loadConfig(path: string, check: (config: LoadedConfig) => void = () => {}): LoadedConfig {
  return readConfigFile<SocDaemonConfig, LoadedConfig>(path, { schema: 'config.json', resolve: resolvePaths, check });
}

/** Paths are relative to the file that names them. */
function resolvePaths(file: string, config: SocDaemonConfig): LoadedConfig {
  const base = dirname(file);
  const absolute = (path: string): string => resolve(base, path);
  const state_dir = absolute(config.state_dir);
  const { amqp, rest, store, sim, functions, network, storage, host, platform } = config as Required<SocDaemonConfig>;
  return {
    ...(config as Required<SocDaemonConfig>),
    file,
    state_dir,
    store: store.key_file === undefined ? {} : { key_file: absolute(store.key_file) },
    amqp: amqp
      ? {
          ...amqp,
          ...(amqp.transport_url_file === undefined ? {} : { transport_url_file: absolute(amqp.transport_url_file) }),
        }
      : null,
    platform: {
      kind: platform.kind,
      openstack: platform.openstack ? resolveOpenStack(platform.openstack, config.node.hostname, absolute) : null,
    },
    rest: {
      ...rest,
      socket: rest.socket === undefined ? resolve(state_dir, 'rest.sock') : absolute(rest.socket),
      ...(rest.tcp
        ? {
            tcp: {
              ...rest.tcp,
              cert_file: absolute(rest.tcp.cert_file),
              key_file: absolute(rest.tcp.key_file),
              token_file: absolute(rest.tcp.token_file),
            },
          }
        : {}),
    },
    network: {
      ...network,
      ...(network.run_dir === undefined ? {} : { run_dir: absolute(network.run_dir) }),
      ...(network.ovsdb?.startsWith('unix:') ? { ovsdb: `unix:${absolute(network.ovsdb.slice(5))}` } : {}),
      ...(network.tls
        ? {
            tls: {
              cert_file: absolute(network.tls.cert_file),
              key_file: absolute(network.tls.key_file),
              ca_file: absolute(network.tls.ca_file),
            },
          }
        : {}),
    },
    storage: {
      ...storage,
      socket: absolute(storage.socket ?? ''),
      images_dir: storage.images_dir === undefined ? resolve(state_dir, 'images') : absolute(storage.images_dir),
      volumes_dir: storage.volumes_dir === undefined ? resolve(state_dir, 'volumes') : absolute(storage.volumes_dir),
      local_dirs: (storage.local_dirs ?? []).map(absolute),
      ceph_keys: Object.fromEntries(Object.entries(storage.ceph_keys ?? {}).map(([id, path]) => [id, absolute(path)])),
      ...(storage.nbd_socket === undefined ? {} : { nbd_socket: absolute(storage.nbd_socket) }),
    },
    host: {
      ...host,
      ...(host.password_file === undefined ? {} : { password_file: absolute(host.password_file) }),
      ...(host.smbios_file === undefined ? {} : { smbios_file: absolute(host.smbios_file) }),
      ...(host.redfish?.ca_file === undefined
        ? {}
        : { redfish: { ...host.redfish, ca_file: absolute(host.redfish.ca_file) } }),
    },
    functions: { ...functions, socket: absolute(functions.socket ?? '') },
    sim: {
      ...sim,
      ...(sim.world_file === undefined ? {} : { world_file: absolute(sim.world_file) }),
    },
  } as LoadedConfig;
}

/** Nova's names of the node where the file has none, and absolute paths. */
function resolveOpenStack(
  openstack: OpenStack,
  hostname: string,
  absolute: (path: string) => string,
): OpenStack & { readonly host: string; readonly hypervisor_hostname: string } {
  const { transport_url_file, password_file, ca_file, application_credential: credential } = openstack;
  const host = openstack.host ?? hostname;
  return {
    ...openstack,
    host,
    hypervisor_hostname: openstack.hypervisor_hostname ?? host,
    ...(transport_url_file === undefined ? {} : { transport_url_file: absolute(transport_url_file) }),
    ...(password_file === undefined ? {} : { password_file: absolute(password_file) }),
    ...(ca_file === undefined ? {} : { ca_file: absolute(ca_file) }),
    ...(credential?.secret_file === undefined
      ? {}
      : { application_credential: { ...credential, secret_file: absolute(credential.secret_file) } }),
  };
}
