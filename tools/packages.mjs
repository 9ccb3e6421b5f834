/** The Debian packages of this repository's commands. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fetchGuestKernel, hasGuestKernel } from './guest-kernel.mjs';

/**
 * The Debian packages that the commands of this repository use, each with its reason: the one place where they are named.
 * `for` says which command wants it. The daemon itself needs none of them.
 */
export const APT_PACKAGES = [
  {
    name: 'rabbitmq-server',
    why: 'the broker between platform and daemon; a private one is started, never the system service',
    for: ['demo', 'demo-sim', 'test', 'openstack'],
    service: 'rabbitmq-server.service',
  },
  {
    name: 'python3-oslo.messaging',
    why: 'stock oslo.messaging, the platform side of the RPC tests',
    for: ['test'],
  },
  { name: 'systemd', why: 'systemd-analyze verify checks the units', for: ['test'] },
  {
    name: 'openvswitch-switch',
    why: "the virtual DPU's switch, and the real peer of ovsdb-client; private ones are started, never the system service",
    for: ['demo', 'test', 'openstack'],
    service: 'openvswitch-switch.service',
  },
  { name: 'python3-openvswitch', why: "Python's OVSDB client, the peer of a benchmark", for: ['test'] },
  {
    name: 'openipmi',
    why: "ipmi_sim, a simulated BMC: the virtual DPU's IPMI, and the real peer of node-ipmi",
    for: ['demo', 'test'],
    service: 'openipmi.service',
  },
  { name: 'socat', why: "joins ipmi_sim to the virtual DPU's BMC service", for: ['demo', 'test'] },
  { name: 'ipmitool', why: 'what node-ipmi is compared with', for: ['test'] },
  { name: 'qemu-system-x86', why: "the virtual DPU's server, and the real peer of qmp-client", for: ['demo', 'test'] },
  { name: 'qemu-utils', why: 'qemu-img, which writes images into volumes', for: ['demo', 'test', 'openstack'] },
  {
    name: 'qemu-system-common',
    why: "qemu-storage-daemon: the virtual DPU's storage, and a peer of qmp-client",
    for: ['demo', 'test'],
  },
  {
    name: 'qemu-block-extra',
    why: "the storage daemon's rbd driver, for Ceph images behind the SPDK face",
    for: ['test'],
  },
  { name: 'python3-sushy', why: 'a stock Redfish client that must see what redfish-client sees', for: ['test'] },
  {
    name: 'iproute2',
    why: 'network namespaces, taps and veths of the virtual DPU',
    for: ['demo', 'test', 'openstack'],
  },
  { name: 'iputils-ping', why: 'asks whether traffic passes a bridge', for: ['test'] },
  { name: 'ethtool', why: 'checksums that userspace Open vSwitch does not complete', for: ['demo', 'test'] },
  { name: 'dnsmasq-base', why: "DHCP of the virtual DPU's tenant network", for: ['demo', 'test'] },
  { name: 'curl', why: 'reads the metadata service as a guest', for: ['test'] },
  {
    name: 'ovn-central',
    why: 'OVN of the virtual DPU; private ones are started, never the system service',
    for: ['test', 'openstack'],
    service: 'ovn-central.service',
  },
  {
    name: 'ovn-host',
    why: 'ovn-controller of the virtual DPU; a private one is started, never the system service',
    for: ['test', 'openstack'],
    service: 'ovn-host.service',
  },
  { name: 'busybox-static', why: "the programs of the virtual DPU's small guest", for: ['demo', 'test'] },
  { name: 'syslinux', why: 'boot loader of guest images', for: ['demo', 'test'] },
  { name: 'syslinux-common', why: 'its master boot record', for: ['demo', 'test'] },
  { name: 'dosfstools', why: 'the boot partition of guest images', for: ['demo', 'test'] },
  { name: 'mtools', why: 'puts files into it without a mount', for: ['demo', 'test'] },
  { name: 'fdisk', why: 'sfdisk, the partition table of guest images', for: ['demo', 'test'] },
  { name: 'chromium', why: 'the dashboard is tested in a real browser', for: ['test'] },
  { name: 'xorriso', why: 'makes config drives', for: ['demo', 'test'] },
  {
    name: 'openssl',
    why: "makes the certificates of the virtual DPU's BMC and of the dashboard, and the throw-away ones of the TLS tests",
    for: ['demo', 'demo-sim', 'test'],
  },
  {
    name: 'mariadb-server',
    why: "the control plane's database; a private one is started",
    for: ['openstack'],
    service: 'mariadb.service',
  },
  {
    name: 'mariadb-client',
    why: 'makes its databases',
    for: ['openstack'],
  },
  {
    name: 'memcached',
    why: "the control plane's cache of tokens; a private one is started",
    for: ['openstack'],
    service: 'memcached.service',
  },
  {
    name: 'keystone',
    why: 'OpenStack Identity',
    for: ['openstack'],
    service: 'keystone.service',
  },
  {
    name: 'placement-api',
    why: 'OpenStack Placement',
    for: ['openstack'],
    service: 'placement-api.service',
  },
  {
    name: 'glance-api',
    why: 'OpenStack Image',
    for: ['openstack'],
    service: 'glance-api.service',
  },
  {
    name: 'neutron-server',
    why: 'OpenStack Networking, with ML2/OVN',
    for: ['openstack'],
    service: 'neutron-api.service',
  },
  {
    name: 'cinder-api',
    why: 'OpenStack Block Storage',
    for: ['openstack'],
    service: 'cinder-api.service',
  },
  {
    name: 'cinder-scheduler',
    why: 'its scheduler',
    for: ['openstack'],
    service: 'cinder-scheduler.service',
  },
  {
    name: 'cinder-volume',
    why: 'its volume service, with a driver that moves no data',
    for: ['openstack'],
    service: 'cinder-volume.service',
  },
  {
    name: 'nova-api',
    why: 'OpenStack Compute',
    for: ['openstack'],
    service: 'nova-api.service',
  },
  {
    name: 'nova-conductor',
    why: 'its conductor, whom the daemon calls',
    for: ['openstack'],
    service: 'nova-conductor.service',
  },
  {
    name: 'nova-scheduler',
    why: 'its scheduler',
    for: ['openstack'],
    service: 'nova-scheduler.service',
  },
  {
    name: 'nova-consoleproxy',
    why: "its console proxies, which reach the daemon's consoles",
    for: ['openstack'],
    service: 'nova-novncproxy.service',
  },
  {
    name: 'nova-compute',
    why: 'the stock nova-compute, the peer of a benchmark',
    for: ['openstack'],
    service: 'nova-compute.service',
  },
  {
    name: 'nova-compute-qemu',
    why: "what Debian's nova-compute depends on; its fake driver is used",
    for: ['openstack'],
  },
  {
    name: 'python3-openstackclient',
    why: 'the `openstack` client',
    for: ['openstack'],
  },
  {
    name: 'python3-pymysql',
    why: "the services' way to the database",
    for: ['openstack'],
  },
  {
    name: 'uwsgi-core',
    why: 'serves keystone and placement',
    for: ['openstack'],
  },
  {
    name: 'uwsgi-plugin-python3',
    why: 'runs them',
    for: ['openstack'],
  },
  { name: 'ceph-mon', why: 'the monitor of a Ceph behind Cinder', for: ['openstack-ceph'] },
  { name: 'ceph-mgr', why: 'its manager, which tells Cinder how much is free', for: ['openstack-ceph'] },
  { name: 'ceph-osd', why: 'its storage', for: ['openstack-ceph'] },
  { name: 'ceph-common', why: 'its tools', for: ['openstack-ceph'] },
  { name: 'python3-rbd', why: "Cinder's way to it", for: ['openstack-ceph'] },
  { name: 'python3-rados', why: 'as well', for: ['openstack-ceph'] },
];

/** The names of the packages that a command (`demo`, `test`, `openstack`) uses. */
export function packagesFor(command) {
  return APT_PACKAGES.filter((entry) => entry.for.includes(command)).map((entry) => entry.name);
}

/** What is downloaded once and not installed; afterwards nothing is fetched. `has` and `fetch` take the repository's cache directory. */
export const DOWNLOADS = [
  {
    name: 'guest kernel',
    why: "Debian's cloud kernel (27 MB) for the virtual DPU's guests, kept in .cache/guest and not installed",
    for: ['demo', 'test'],
    has: (cache) => hasGuestKernel(join(cache, 'guest')),
    fetch: (cache) => fetchGuestKernel(join(cache, 'guest')),
  },
];

/** The downloads that a command (`demo` or `test`) uses. */
export function downloadsFor(command) {
  return DOWNLOADS.filter((entry) => entry.for.includes(command));
}

/** The services that these packages bring and that systemd, where it runs, starts at the next boot. */
export function enabledServices(names) {
  if (!existsSync('/run/systemd/system')) return [];
  return APT_PACKAGES.filter((entry) => names.includes(entry.name)).flatMap((entry) => entry.service ?? []);
}

/** Why a package is wanted, for messages. Throws on a name that the list does not have. */
export function reasonFor(name) {
  const entry = APT_PACKAGES.find((candidate) => candidate.name === name);
  if (!entry) throw new Error(`tools/packages.mjs does not list ${name}`);
  return entry.why;
}
