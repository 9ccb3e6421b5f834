/**
 * What `virtual-dpu up` writes to `virtual-dpu.json` in its state directory, and `status` and the library answer: where every part is.
 * All of the DPU's own processes (QEMU, OVS, DHCP) live in one network namespace of its own, so that several stand side by side with the same
 * interface names; what a daemon outside needs is reached by unix sockets or on loopback of the namespace that `up` was called in.
 */
export interface VirtualDpu {
  readonly version: 1;
  /** From the state directory; part of the network namespaces' names. */
  readonly name: string;
  readonly stateDir: string;
  readonly host: HostPart;
  readonly network: NetworkPart;
  readonly storage: StoragePart;
  readonly bmc: BmcPart;
}

/** The server: a QEMU machine that survives its own power-off. */
export interface HostPart {
  readonly pid: number;
  readonly uuid: string;
  readonly serialNumber: string;
  readonly arch: 'x86_64' | 'aarch64';
  readonly accel: 'tcg' | 'kvm';
  readonly cpus: number;
  readonly memoryMib: number;
  /** QMP takes one client per socket, so each user has its own. `debug` is for people and tests. */
  readonly qmp: { readonly bmc: string; readonly snic: string; readonly storage: string; readonly debug: string };
  /** Unix socket of the serial console, for one client: the BMC's. A log of it is in `serialLog`. */
  readonly serial: string;
  readonly serialLog: string;
  /** Port i is `rp<i>`; its device is `0000:<i+1 in hex>:00.0`. */
  readonly rootPorts: readonly { readonly index: number; readonly id: string; readonly bdf: string }[];
}

/** Open vSwitch with the userspace datapath, and what a tenant network needs. */
export interface NetworkPart {
  /** `unix:…`: OVSDB. */
  readonly ovsdb: string;
  /** The directory of OVS' other sockets (`ovs-appctl`, `ovs-ofctl`): OVS_RUNDIR. */
  readonly runDir: string;
  readonly bridge: string;
  /** Namespace of the SoC side: representors, bridges, QEMU. */
  readonly netns: string;
  /** The tenant network with DHCP and metadata; null when `up` was asked to leave it out. */
  readonly tenant: TenantPart | null;
  /** OVN, which then owns the bridge's flows; null unless `up` was asked for it. */
  readonly ovn: OvnPart | null;
  readonly pids: { readonly ovsdbServer: number; readonly vswitchd: number };
}

/** A network namespace that a cloud's tenant network leads to: its gateway, DHCP and metadata service. */
export interface TenantPart {
  readonly netns: string;
  /** `192.168.77.0/24`. */
  readonly subnet: string;
  readonly gateway: string;
  /** dnsmasq's lease file. */
  readonly leases: string;
  /** A file in here is a line `mac,ip,hostname` and reserves that address. */
  readonly hostsDir: string;
  /** `<mac>/` or `<ip>/` in here holds `meta_data.json` and `user_data` of the instance that asks from there. */
  readonly metadataDir: string;
  readonly pids: { readonly dnsmasq: number; readonly metadata: number };
}

/** OVN's central and its controller on this chassis. */
export interface OvnPart {
  /** `unix:…` of the northbound and the southbound database. */
  readonly northbound: string;
  readonly southbound: string;
  /** The logical switch that the tenant network is on; null without a tenant network. */
  readonly tenantSwitch: string | null;
  readonly pids: {
    readonly northboundServer: number;
    readonly southboundServer: number;
    readonly northd: number;
    readonly controller: number;
  };
}

/** The SPDK face on a qemu-storage-daemon. */
export interface StoragePart {
  /** Unix socket that speaks SPDK's JSON-RPC. */
  readonly spdk: string;
  /** How functions reach their controllers: NBD exports by the controller's name on one socket, or a vhost-user socket `<dir>/<controller>`. */
  readonly front:
    | { readonly kind: 'nbd'; readonly socket: string }
    | { readonly kind: 'vhost-user'; readonly dir: string };
  /** Files that bdevs are made of. */
  readonly volumesDir: string;
  readonly pids: { readonly face: number; readonly storageDaemon: number };
}

/** The host's BMC: IPMI and Redfish of the same machine. */
export interface BmcPart {
  readonly username: string;
  /** File of mode 0600. */
  readonly passwordFile: string;
  readonly ipmi: { readonly address: string; readonly port: number };
  readonly redfish: {
    readonly url: string;
    /** PEM; and its SHA-256 fingerprint in hex with colons, for pinning. */
    readonly certificateFile: string;
    readonly fingerprint: string;
  };
  readonly pids: { readonly service: number; readonly ipmiSim: number };
}
