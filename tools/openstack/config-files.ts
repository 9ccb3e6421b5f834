/** The configuration files of an OpenStack Zed whose services share one machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ini, type Section } from './ini.ts';
import { type StackLayout, urlOf } from './layout.ts';

/** The files' names in `etc/`. */
export const CONFIG = {
  mariadb: 'my.cnf',
  keystone: 'keystone/keystone.conf',
  placement: 'placement/placement.conf',
  glance: 'glance/glance-api.conf',
  neutron: 'neutron/neutron.conf',
  ml2: 'neutron/ml2_conf.ini',
  cinder: 'cinder/cinder.conf',
  nova: 'nova/nova.conf',
  /** What a compute node of nova's own gets: no database. */
  compute: 'nova/compute.conf',
} as const;

/** The path of a configuration file. */
export function configFile({ dir }: StackLayout, name: keyof typeof CONFIG): string {
  return join(dir, 'etc', CONFIG[name]);
}

/** Writes all of them; the same stack gets the same text. `transportUrl` is the broker's. */
export function writeConfigFiles(layout: StackLayout, transportUrl: string): void {
  for (const [name, text] of Object.entries(texts(layout, transportUrl)) as [keyof typeof CONFIG, string][]) {
    const file = configFile(layout, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text, { mode: 0o600 });
  }
  const folders = ['glance/images', 'glance/staging', 'glance/lock', 'nova/lock', 'nova/instances', 'neutron/lock'];
  for (const folder of [...folders, 'cinder/lock', 'cinder/coord']) {
    mkdirSync(join(layout.dir, folder), { recursive: true });
  }
}

function texts(layout: StackLayout, transportUrl: string): Readonly<Record<keyof typeof CONFIG, string>> {
  const nova = novaSections(layout, transportUrl);
  const { database: _one, api_database: _other, ...compute } = nova;
  return {
    mariadb: mariadbText(layout),
    keystone: keystoneText(layout),
    placement: ini({
      DEFAULT: logged,
      api: { auth_strategy: 'keystone' },
      placement_database: { connection: database(layout, 'placement') },
      keystone_authtoken: authToken(layout, 'placement'),
    }),
    glance: glanceText(layout),
    neutron: neutronText(layout, transportUrl),
    ml2: ml2Text(layout),
    cinder: cinderText(layout, transportUrl),
    nova: ini(nova),
    compute: ini(compute),
  };
}

const logged = { use_stderr: true } as const;
const loopback = '127.0.0.1';

function database({ ports, password }: StackLayout, name: string): string {
  return `mysql+pymysql://openstack:${password}@${loopback}:${ports.mariadb}/${name}?charset=utf8`;
}

function account({ password }: StackLayout, username: string): Section {
  return {
    auth_type: 'password',
    project_domain_name: 'Default',
    user_domain_name: 'Default',
    project_name: 'service',
    username,
    password,
  };
}

function client(layout: StackLayout, username: string): Section {
  return { ...account(layout, username), auth_url: urlOf(layout, 'keystone'), region_name: layout.region };
}

function authToken(layout: StackLayout, username: string): Section {
  return {
    ...account(layout, username),
    www_authenticate_uri: urlOf(layout, 'keystone'),
    auth_url: urlOf(layout, 'keystone'),
    memcached_servers: `${loopback}:${layout.ports.memcached}`,
    service_token_roles: 'service',
    service_token_roles_required: true,
  };
}

/** Safe against a killed process and not against a power cut: its data is nobody's. */
function mariadbText({ dir, sockets, ports }: StackLayout): string {
  const text = ini({
    mysqld: {
      datadir: join(dir, 'mysql'),
      socket: join(sockets, 'mysql.sock'),
      'pid-file': join(dir, 'run/mariadb.own-pid'),
      port: ports.mariadb,
      'bind-address': loopback,
      user: process.getuid?.() === 0 ? 'root' : undefined,
      max_connections: 600,
      innodb_flush_log_at_trx_commit: 0,
      innodb_doublewrite: 0,
      innodb_buffer_pool_size: '256M',
      innodb_log_file_size: '32M',
      performance_schema: 'OFF',
    },
  });
  return `${text}skip-name-resolve\nskip-log-bin\n`;
}

function keystoneText(layout: StackLayout): string {
  const keys = join(layout.dir, 'etc/keystone');
  return ini({
    DEFAULT: logged,
    database: { connection: database(layout, 'keystone') },
    token: { provider: 'fernet', expiration: 86_400 },
    fernet_tokens: { key_repository: join(keys, 'fernet') },
    credential: { key_repository: join(keys, 'credential') },
    cache: {
      enabled: true,
      backend: 'dogpile.cache.memcached',
      memcache_servers: `${loopback}:${layout.ports.memcached}`,
    },
  });
}

function glanceText(layout: StackLayout): string {
  const at = (name: string): string => join(layout.dir, 'glance', name);
  return ini({
    DEFAULT: {
      ...logged,
      bind_host: loopback,
      bind_port: layout.ports.glance,
      workers: 1,
      enabled_import_methods: '[web-download,glance-direct]',
      node_staging_uri: `file://${at('staging')}`,
    },
    database: { connection: database(layout, 'glance') },
    glance_store: { stores: 'file,http', default_store: 'file', filesystem_store_datadir: at('images') },
    paste_deploy: { flavor: 'keystone', config_file: '/etc/glance/glance-api-paste.ini' },
    oslo_concurrency: { lock_path: at('lock') },
    keystone_authtoken: authToken(layout, 'glance'),
  });
}

function neutronText(layout: StackLayout, transportUrl: string): string {
  return ini({
    DEFAULT: {
      ...logged,
      bind_host: loopback,
      bind_port: layout.ports.neutron,
      api_workers: 1,
      rpc_workers: 1,
      rpc_state_report_workers: 0,
      core_plugin: 'ml2',
      service_plugins: 'ovn-router,trunk,segments',
      auth_strategy: 'keystone',
      state_path: join(layout.dir, 'neutron'),
      api_paste_config: '/etc/neutron/api-paste.ini',
      transport_url: transportUrl,
      notify_nova_on_port_status_changes: true,
      notify_nova_on_port_data_changes: true,
      dhcp_agent_notification: false,
    },
    database: { connection: database(layout, 'neutron') },
    oslo_concurrency: { lock_path: join(layout.dir, 'neutron/lock') },
    keystone_authtoken: authToken(layout, 'neutron'),
    nova: client(layout, 'nova'),
    placement: client(layout, 'placement'),
  });
}

function ml2Text({ sockets }: StackLayout): string {
  return ini({
    ml2: {
      type_drivers: 'local,flat,vlan,geneve',
      tenant_network_types: 'geneve',
      mechanism_drivers: 'ovn',
      extension_drivers: 'port_security',
      overlay_ip_version: 4,
    },
    ml2_type_geneve: { vni_ranges: '1:65536', max_header_size: 38 },
    ml2_type_flat: { flat_networks: '*' },
    ml2_type_vlan: { network_vlan_ranges: 'physnet1:100:199' },
    securitygroup: { enable_security_group: true },
    ovn: {
      ovn_nb_connection: `unix:${sockets}/nb.sock`,
      ovn_sb_connection: `unix:${sockets}/sb.sock`,
      ovn_metadata_enabled: false,
      enable_distributed_floating_ip: false,
      ovn_l3_scheduler: 'leastloaded',
    },
  });
}

function cinderText(layout: StackLayout, transportUrl: string): string {
  const at = (name: string): string => join(layout.dir, 'cinder', name);
  const ceph = {
    volume_driver: 'cinder.volume.drivers.rbd.RBDDriver',
    volume_backend_name: 'ceph',
    rbd_cluster_name: 'ceph',
    rbd_ceph_conf: join(layout.dir, 'ceph/ceph.conf'),
    rbd_pool: 'volumes',
    rbd_user: 'cinder',
    rados_connect_timeout: 10,
    report_discard_supported: true,
  };
  return ini({
    DEFAULT: {
      ...logged,
      my_ip: loopback,
      osapi_volume_listen: loopback,
      osapi_volume_listen_port: layout.ports.cinder,
      osapi_volume_workers: 1,
      auth_strategy: 'keystone',
      api_paste_config: '/etc/cinder/api-paste.ini',
      rootwrap_config: '/etc/cinder/rootwrap.conf',
      state_path: join(layout.dir, 'cinder'),
      transport_url: transportUrl,
      glance_api_servers: urlOf(layout, 'glance'),
      enabled_backends: layout.ceph ? 'fake,ceph' : 'fake',
      default_volume_type: 'fake',
      volume_clear: 'none',
    },
    // Volumes have their bytes; the connection to them is described and leads nowhere.
    fake: {
      volume_driver: 'file_driver.FileVolumeDriver',
      volume_backend_name: 'fake',
      volume_clear: 'none',
      target_helper: 'fake',
    },
    ...(layout.ceph ? { ceph } : {}),
    database: { connection: database(layout, 'cinder') },
    oslo_concurrency: { lock_path: at('lock') },
    coordination: { backend_url: `file://${at('coord')}` },
    keystone_authtoken: authToken(layout, 'cinder'),
    nova: { ...client(layout, 'nova'), interface: 'internal' },
    service_user: serviceUser(layout, 'cinder'),
  });
}

function serviceUser(layout: StackLayout, username: string): Section {
  return { ...account(layout, username), auth_url: urlOf(layout, 'keystone'), send_service_user_token: true };
}

function novaSections(layout: StackLayout, transportUrl: string) {
  const { ports } = layout;
  return {
    DEFAULT: {
      ...logged,
      my_ip: loopback,
      state_path: join(layout.dir, 'nova'),
      transport_url: transportUrl,
      enabled_apis: 'osapi_compute',
      osapi_compute_listen: loopback,
      osapi_compute_listen_port: ports.nova,
      osapi_compute_workers: 1,
      rootwrap_config: '/etc/nova/rootwrap.conf',
      allow_resize_to_same_host: true,
      compute_driver: 'fake.FakeDriver',
    },
    wsgi: { api_paste_config: '/etc/nova/api-paste.ini' },
    api: { auth_strategy: 'keystone' },
    api_database: { connection: database(layout, 'nova_api') },
    database: { connection: database(layout, 'nova') },
    conductor: { workers: 1 },
    scheduler: { workers: 1, discover_hosts_in_cells_interval: -1 },
    upgrade_levels: { compute: 'auto' },
    oslo_concurrency: { lock_path: join(layout.dir, 'nova/lock') },
    vnc: {
      enabled: true,
      server_listen: loopback,
      server_proxyclient_address: loopback,
      novncproxy_host: loopback,
      novncproxy_port: ports.novncproxy,
      novncproxy_base_url: `http://${loopback}:${ports.novncproxy}/vnc_auto.html`,
    },
    serial_console: {
      enabled: true,
      serialproxy_host: loopback,
      serialproxy_port: ports.serialproxy,
      base_url: `ws://${loopback}:${ports.serialproxy}/`,
      proxyclient_address: loopback,
    },
    glance: { api_servers: urlOf(layout, 'glance') },
    cinder: {
      ...account(layout, 'nova'),
      auth_url: urlOf(layout, 'keystone'),
      os_region_name: layout.region,
      catalog_info: 'volumev3::publicURL',
    },
    placement: client(layout, 'nova'),
    neutron: { ...client(layout, 'nova'), service_metadata_proxy: false },
    service_user: serviceUser(layout, 'nova'),
    keystone_authtoken: authToken(layout, 'nova'),
  } satisfies Record<string, Section>;
}
