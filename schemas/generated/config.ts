/** Generated from schemas/config.json by `npm run schemas`. Do not edit. */

/**
 * An endpoint's address.
 */
export type Endpoint = string;

/**
 * The daemon's configuration file (YAML). Defaults stand here and nowhere else.
 */
export interface SocDaemonConfig {
  /**
   * `sim`: each of `functions`, `network`, `storage` and `host` may be simulated, and is by default. `virtual`, `hardware`: none may.
   */
  profile: 'sim' | 'virtual' | 'hardware';
  /**
   * Who the node is.
   */
  node: {
    /**
     * The node's identity towards the platform; stored at first start, a later mismatch refuses to start.
     */
    hostname: string;
    /**
     * What instances are. `BM`: the whole host. `VM`: virtual machines on it, by now only on the simulated host.
     */
    type?: 'BM' | 'VM';
    /**
     * Only for a node whose identity is known from elsewhere; otherwise made at first start.
     */
    uuid?: string;
  };
  /**
   * The store and the lock; absolute, or relative to this file.
   */
  state_dir: string;
  /**
   * Where secrets are sealed.
   */
  store?: {
    /**
     * 32 bytes, hex, mode 0600: seals secrets in the store. Default: the systemd credential `store-key`, else `store.key` in state_dir, made at first start.
     */
    key_file?: string;
  };
  /**
   * Absent: no broker; REST alone drives the node.
   */
  amqp?: {
    /**
     * A 0600 file with oslo.messaging's transport_url. Default: the systemd credential `transport-url`.
     */
    transport_url_file?: string;
    /**
     * The control exchange.
     */
    exchange?: string;
    /**
     * Requests come to this topic, and to `<topic>.<hostname>`.
     */
    topic?: string;
    /**
     * Reports go to this topic.
     */
    platform_topic?: string;
    /**
     * oslo.messaging's `amqp_durable_queues`; must equal the platform's.
     */
    durable_queues?: boolean;
    /**
     * oslo.messaging's `amqp_auto_delete`; must equal the platform's.
     */
    auto_delete?: boolean;
    /**
     * oslo.messaging's `rabbit_quorum_queue`; must equal the platform's.
     */
    quorum_queues?: boolean;
    /**
     * Life of unused reply and fanout queues, in seconds.
     */
    transient_queues_ttl_s?: number;
    /**
     * AMQP heartbeat, in seconds.
     */
    heartbeat_s?: number;
    /**
     * Requests that are delivered and not yet acknowledged, at most.
     */
    prefetch?: number;
    /**
     * A larger message is dropped.
     */
    max_body_bytes?: number;
  };
  /**
   * Whose node this is.
   */
  platform?: {
    /**
     * `amqp`: the project's own RPC, as `amqp` says. `openstack`: the node is a nova-compute.
     */
    kind?: 'amqp' | 'openstack';
    /**
     * The control plane; with `kind: openstack`.
     */
    openstack?: {
      /**
       * Nova's release (2022.2, 2023.1, 2023.2, 2024.1), which fixes the service version and the versions of objects. Tested: zed.
       */
      release?: 'zed' | 'antelope' | 'bobcat' | 'caracal';
      /**
       * Nova's `host`, and the chassis' hostname in OVN. Default: `node.hostname`.
       */
      host?: string;
      /**
       * Name of the ComputeNode and of the resource provider. Default: as `host`.
       */
      hypervisor_hostname?: string;
      /**
       * A 0600 file with nova's transport_url. Default: the systemd credential `transport-url`.
       */
      transport_url_file?: string;
      /**
       * Keystone, with or without `/v3`.
       */
      auth_url: string;
      /**
       * The service user; needs the roles `service` and `admin`.
       */
      username?: string;
      /**
       * A 0600 file. Default: the systemd credential `openstack-password`.
       */
      password_file?: string;
      /**
       * Name of the user's domain.
       */
      user_domain?: string;
      /**
       * Name of the project of the service users.
       */
      project?: string;
      /**
       * Name of the project's domain.
       */
      project_domain?: string;
      /**
       * Instead of user, password and project.
       */
      application_credential?: {
        /**
         * Its id.
         */
        id: string;
        /**
         * A 0600 file. Default: the systemd credential `openstack-password`.
         */
        secret_file?: string;
      };
      /**
       * Region of the endpoints. Default: the catalogue's only one.
       */
      region?: string;
      /**
       * Which endpoints of the catalogue are used.
       */
      interface?: 'public' | 'internal' | 'admin';
      /**
       * Instead of the catalogue's.
       */
      endpoints?: {
        placement?: Endpoint;
        network?: Endpoint;
        volumev3?: Endpoint;
        image?: Endpoint;
      };
      /**
       * PEM: who signs the services' certificates. Default: the system's.
       */
      ca_file?: string;
      /**
       * How long a service has for one answer, in seconds; nova's `rpc_response_timeout`.
       */
      call_timeout_s?: number;
      /**
       * Heartbeat of the service record, in seconds.
       */
      report_interval_s?: number;
      /**
       * Resources and inventory are compared so often, in seconds.
       */
      resource_interval_s?: number;
      /**
       * A server on this host that is deleted softly for so long is deleted, in seconds; nova's `reclaim_instance_interval`, which nova-api must have, too. 0: never.
       */
      reclaim_instance_interval_s?: number;
      /**
       * A resize or cold migration to this host that is finished for so long is confirmed without its user, in seconds; nova's `resize_confirm_window`. 0: never.
       */
      resize_confirm_window_s?: number;
      /**
       * How long Neutron has to say that a port is plugged before the host goes on, in seconds. 0: it is not waited for.
       */
      vif_plugging_timeout_s?: number;
      /**
       * A port that is not plugged in time fails the build.
       */
      vif_plugging_is_fatal?: boolean;
      /**
       * Kind of a bare-metal node, as Ironic's `resource_class`: a node with `gold` offers one `CUSTOM_BAREMETAL_GOLD`.
       */
      bare_metal_class?: string;
      /**
       * Traits of the resource provider besides those that the node finds.
       *
       * @maxItems 100
       *
       * Items: A trait.
       */
      traits?: string[];
      /**
       * Memory of the host that VMs don't get, in MiB.
       */
      reserved_host_memory_mib?: number;
      /**
       * CPUs of the host that VMs don't get.
       */
      reserved_host_cpus?: number;
      /**
       * VCPUs offered for each CPU of a VM host. No more than it has: the node takes no more.
       */
      cpu_allocation_ratio?: number;
      /**
       * Memory offered for what a VM host has; no more than it has.
       */
      ram_allocation_ratio?: number;
      /**
       * DISK_GB offered, in GiB; disks are volumes, so no disk of the host is asked.
       */
      disk_gib?: number;
      /**
       * Type of the volumes that are made from images. Default: Cinder's own.
       */
      volume_type?: string;
      /**
       * Zone of the volumes that are made. Default: Cinder's own.
       */
      availability_zone?: string;
      /**
       * What is sent to the topics `notifications` and `versioned_notifications`.
       */
      notifications?: 'none' | 'unversioned' | 'versioned' | 'both';
      /**
       * At the end of each period `exists` is notified of every server that lived in it on this host; nova's `instance_usage_audit`.
       */
      instance_usage_audit?: boolean;
      /**
       * Period of audits, in UTC: `hour`, `day`, `month`, `year`, and where it begins but at its first, as `day@18` or `month@15`; nova's `instance_usage_audit_period`.
       */
      instance_usage_audit_period?: string;
      /**
       * Consoles through nova's proxies.
       */
      console?: {
        /**
         * Where nova's proxies reach this node, and what is listened on.
         */
        address?: string;
        /**
         * Addresses that nova's proxies come from; nobody else is let in.
         *
         * @maxItems 64
         *
         * Items: An address.
         */
        proxies?: string[];
        /**
         * nova-serialproxy, as users reach it. Absent: no serial console.
         */
        serial_url?: string;
        /**
         * nova-novncproxy, as users reach it. Absent: no VNC console.
         */
        vnc_url?: string;
      };
      /**
       * The broker's queues; must equal what nova's own services say.
       */
      rpc?: {
        /**
         * Nova's `amqp_durable_queues`.
         */
        durable_queues?: boolean;
        /**
         * Nova's `amqp_auto_delete`.
         */
        auto_delete?: boolean;
        /**
         * Nova's `rabbit_quorum_queue`.
         */
        quorum_queues?: boolean;
        /**
         * Nova's `rabbit_transient_queues_ttl`, in seconds.
         */
        transient_queues_ttl_s?: number;
        /**
         * AMQP heartbeat, in seconds.
         */
        heartbeat_s?: number;
        /**
         * Requests that are delivered and not yet acknowledged, at most.
         */
        prefetch?: number;
        /**
         * A larger message is dropped.
         */
        max_body_bytes?: number;
      };
    };
  };
  /**
   * The REST interface.
   */
  rest?: {
    /**
     * Path of the unix socket. Default: `rest.sock` in state_dir.
     */
    socket?: string;
    /**
     * Mode of the socket, octal: who may open it may do everything.
     */
    socket_mode?: string;
    /**
     * A larger body is refused.
     */
    max_body_bytes?: number;
    /**
     * For each client address; the unix socket counts as one.
     */
    requests_per_second?: number;
    /**
     * For one request, in milliseconds.
     */
    request_timeout_ms?: number;
    /**
     * REST on TCP too; only with TLS and a token.
     */
    tcp?: {
      /**
       * Address to listen on.
       */
      host?: string;
      /**
       * 0: any free one.
       */
      port: number;
      /**
       * PEM: the certificate and its chain.
       */
      cert_file: string;
      /**
       * PEM, mode 0600.
       */
      key_file: string;
      /**
       * 0600; its first line is the bearer token.
       */
      token_file: string;
    };
  };
  /**
   * How operations run.
   */
  operations?: {
    /**
     * Operations at once; the others wait.
     */
    max_concurrent?: number;
    /**
     * How long a stop lets steps under way end, in milliseconds.
     */
    drain_ms?: number;
  };
  /**
   * What the platform is told.
   */
  reports?: {
    /**
     * The node's status is sent on change, and so often, in seconds.
     */
    interval_s?: number;
  };
  /**
   * Comparing peers and store.
   */
  reconcile?: {
    /**
     * Seconds from one pass to the next.
     */
    interval_s?: number;
  };
  /**
   * What is kept of what is over.
   */
  retention?: {
    /**
     * Ended operations, deleted instances and audit lines older than this go.
     */
    days?: number;
    /**
     * Ended operations above this number go, oldest first.
     */
    max_operations?: number;
  };
  /**
   * Free space of the file system of state_dir.
   */
  disk?: {
    /**
     * With less space in state_dir the node warns, in MiB.
     */
    low_mib?: number;
    /**
     * With less space it is not ready, and accepts nothing but what ends things, in MiB.
     */
    full_mib?: number;
  };
  /**
   * The time of the SoC.
   */
  clock?: {
    /**
     * `auto`: a clock that is said not to be synchronised makes the node not ready. `off`: nobody is asked.
     */
    check?: 'auto' | 'off';
  };
  /**
   * What stands in where there is no OpenStack.
   */
  catalogue?: {
    /**
     * Name -> sizes.
     */
    flavors?: {
      [k: string]: {
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
    };
    /**
     * Name -> addresses that are given out.
     */
    subnets?: {
      [k: string]: {
        /**
         * IPv4, e.g. 10.0.0.0/24
         */
        cidr: string;
        /**
         * Never given out; the first address unless told.
         */
        gateway?: string;
        /**
         * Addresses that are given out; all of them unless told.
         */
        pool?: {
          first: string;
          last: string;
        };
        /**
         * First three bytes of the MACs that are made.
         */
        mac_prefix?: string;
        /**
         * VLAN of the provider network; instances see untagged frames.
         */
        vlan?: number;
        /**
         * VLANs that instances may use themselves, tagged.
         *
         * @maxItems 4094
         */
        trunks?: number[];
        /**
         * MTU of the ports, told to instances by DHCP too.
         */
        mtu?: number;
        /**
         * Name servers that DHCP tells, IPv4.
         *
         * @maxItems 3
         */
        dns?: [] | [string] | [string, string] | [string, string, string];
      };
    };
  };
  /**
   * What instances get where a request does not say.
   */
  instances?: {
    /**
     * The drive that an instance gets where its build does not say: OpenStack's (`config-2`), NoCloud's (`cidata`), or none.
     */
    config_drive?: 'off' | 'config-2' | 'cidata';
    /**
     * What a rescue starts where the request names no image. Default: the instance's own image.
     */
    rescue_image?: string;
  };
  /**
   * Where PCIe functions come from.
   */
  functions?: {
    /**
     * `sim`: the simulated card. `snic`: snic-controller.
     */
    kind?: 'sim' | 'snic';
    /**
     * snic-controller's unix socket; with `kind: snic`.
     */
    socket?: string;
    /**
     * A card that the host may reconfigure (no `mlxprivhost` restriction): nothing, a warning, or not ready.
     */
    restricted_host?: 'ignore' | 'warn' | 'require';
  };
  /**
   * The switch that representors go into.
   */
  network?: {
    /**
     * `sim`: the simulated switch. `ovs`: Open vSwitch.
     */
    kind?: 'sim' | 'ovs';
    /**
     * The Open vSwitch database: `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT`.
     */
    ovsdb?: string;
    /**
     * For an address that begins with `ssl:`.
     */
    tls?: {
      /**
       * PEM: our certificate.
       */
      cert_file: string;
      /**
       * PEM, mode 0600.
       */
      key_file: string;
      /**
       * PEM: who signs the database's certificate.
       */
      ca_file: string;
    };
    /**
     * The integration bridge; it exists already.
     */
    bridge?: string;
    /**
     * Folder of OVS' management sockets. Default: that of the database's socket.
     */
    run_dir?: string;
    /**
     * Whose the bridge's flows are. `controller`: ovn-controller's or another's; no flow of ours is ever written, limits are refused.
     */
    flows?: 'ours' | 'controller';
    /**
     * A port is good only once ovn-controller has set `ovn-installed`.
     */
    wait_ovn_installed?: boolean;
    /**
     * Instances send with their own MAC and addresses only. With `flows: ours`.
     */
    anti_spoof?: boolean;
    /**
     * Find representors by devlink's attributes and not by their name.
     */
    devlink?: boolean;
    /**
     * How long the switch, and OVN where it is waited for, have to take a port, in seconds.
     */
    bind_timeout_s?: number;
    /**
     * Tunnels to other switches; those of ours that are not listed are removed.
     *
     * @maxItems 1000
     */
    tunnels?: {
      /**
       * Name of its port.
       */
      name: string;
      /**
       * Encapsulation.
       */
      kind: 'vxlan' | 'geneve';
      /**
       * Address of the other end.
       */
      remote: string;
      /**
       * Our address; the routing table chooses unless told.
       */
      local?: string;
      /**
       * Number of the network on the wire (VNI).
       */
      key: number;
      /**
       * Checksum in the outer UDP header; OVS' own default unless told.
       */
      checksum?: boolean;
    }[];
    /**
     * Networks without Neutron.
     */
    local?: {
      /**
       * Answer DHCP and metadata of the catalogue's subnets on this SoC. Needs root and `flows: ours`.
       */
      enabled?: boolean;
      /**
       * Network namespace that Open vSwitch runs in. Default: the daemon's own.
       */
      netns?: string;
      /**
       * Life of a DHCP lease, in seconds.
       */
      lease_s?: number;
    };
  };
  /**
   * What serves volumes to functions, and where volumes come from.
   */
  storage?: {
    /**
     * `sim`: the simulated target and volume service. `spdk`: SPDK (or SNAP, which is one), and volumes and images of this node.
     */
    kind?: 'sim' | 'spdk';
    /**
     * SPDK's JSON-RPC.
     */
    socket?: string;
    /**
     * How functions reach what is served. `vhost`: controllers of vhost-user-blk, each named like its function. `snap`: emulated functions of a BlueField.
     */
    front?: 'vhost' | 'snap';
    /**
     * How long SPDK has for one call, in seconds.
     */
    call_timeout_s?: number;
    /**
     * Where local volumes lie. `files`: sparse files of `volumes_dir`. `lvols`: a store of SPDK in a file there; made at once from an image, and snapshots while in use.
     */
    backing?: 'files' | 'lvols';
    /**
     * `NAME.img`, `NAME.raw` or `NAME.qcow2`, each with its `.sha256` beside it if it is to be checked. Default: `images` in state_dir.
     */
    images_dir?: string;
    /**
     * Local volumes, which SPDK must be able to open. Default: `volumes` in state_dir.
     */
    volumes_dir?: string;
    /**
     * Further directories whose files a platform may name as volumes.
     *
     * @maxItems 100
     *
     * Items: A directory.
     */
    local_dirs?: string[];
    /**
     * Size of the store's file when it is made, with `backing: lvols`. It is sparse.
     */
    store_bytes?: number;
    /**
     * Where the target exports its controllers by NBD, as the virtual DPU does: how images get into lvols. Default: SPDK's own way to the kernel's NBD.
     */
    nbd_socket?: string;
    /**
     * Id -> local volume that belongs to no instance; made empty when it is first used.
     */
    volumes?: {
      [k: string]: {
        size_bytes: number;
      };
    };
    /**
     * Cinder's `secret_uuid` -> file with the key of the Ceph user; without one a volume's connection must bring it.
     */
    ceph_keys?: {
      /**
       * File of mode 0600 with the key.
       */
      [k: string]: string;
    };
    /**
     * What this node is called by NVMe over fabrics, where a volume's connection does not say.
     */
    host_nqn?: string;
    /**
     * What this node is called by iSCSI. On OpenStack the default stands for a name that follows from the node's uuid.
     */
    initiator_iqn?: string;
    /**
     * What becomes of the data of local volumes that were made for an instance when they are deleted. `discard`: their blocks are given back to what they lie on. `zero`: written over first; not with `backing: lvols`. A destroy may ask for another.
     */
    wipe?: 'none' | 'discard' | 'zero';
  };
  /**
   * The host's power and console.
   */
  host?: {
    /**
     * `sim`: the simulated BMC. `bmc`: the server's own, by Redfish or IPMI.
     */
    kind?: 'sim' | 'bmc';
    /**
     * The BMC's Redfish service; used for everything it can do.
     */
    redfish?: {
      /**
       * Scheme, name or address, and port.
       */
      url: string;
      /**
       * SHA-256 of the BMC's certificate; any other is refused.
       */
      fingerprint?: string;
      /**
       * PEM: who signs the BMC's certificate. Default: the system's CAs.
       */
      ca_file?: string;
      /**
       * Id of the host among the BMC's systems, where there are several.
       */
      system_id?: string;
    };
    /**
     * The BMC's IPMI: the console, and the power where there is no Redfish.
     */
    ipmi?: {
      /**
       * Name or address.
       */
      address: string;
      /**
       * UDP port.
       */
      port?: number;
      /**
       * Allowed, best first. `[17]` keeps others from talking it down.
       *
       * @minItems 1
       * @maxItems 2
       */
      cipher_suites?: [17 | 3] | [17 | 3, 17 | 3];
    };
    /**
     * Account at the BMC; with `kind: bmc`.
     */
    username?: string;
    /**
     * File of mode 0600. Default: the systemd credential `bmc-password`.
     */
    password_file?: string;
    /**
     * What the BMC does not tell, or tells wrongly: IPMI knows neither CPUs nor memory.
     */
    hardware?: {
      /**
       * Hardware threads.
       */
      cpus?: number;
      /**
       * Memory, in MiB.
       */
      memory_mib?: number;
      /**
       * Serial number.
       */
      serial_number?: string;
    };
    /**
     * The host's SMBIOS table, as `dmidecode --dump-bin` writes it: for what the BMC does not tell.
     */
    smbios_file?: string;
    /**
     * How long the BMC has for one answer, in seconds.
     */
    call_timeout_s?: number;
    /**
     * How long the host has to come on, or to be off when its power is taken away, in seconds.
     */
    power_timeout_s?: number;
    /**
     * The host's BIOS settings, by Redfish.
     */
    bios?: {
      /**
       * When an instance goes, settings that differ from the baseline are set back. False: they are reported.
       */
      restore?: boolean;
      /**
       * Setting -> value, by the names that the BMC has. Default: what was found when the node first saw the host with no instance.
       */
      baseline?: {
        [k: string]: string | number | boolean;
      };
      /**
       * Setting -> values that allow a build, beside the built-in table; `*` stands for any characters. An empty list takes a check of the table away.
       */
      required?: {
        /**
         * @maxItems 32
         */
        [k: string]: (string | number | boolean)[];
      };
      /**
       * Settings that are never compared or set; `*` stands for any characters.
       *
       * @maxItems 256
       */
      ignore?: string[];
    };
  };
  /**
   * The simulated hardware of what has the kind `sim`.
   */
  sim?: {
    /**
     * Where the simulated hardware lives, so that it outlives the daemon. Default: `world.db` in state_dir.
     */
    world_file?: string;
    /**
     * How long each effect takes.
     */
    latency_ms?: number;
    /**
     * Model of the card.
     */
    model?: string;
    /**
     * Functions that the card can have.
     */
    functions?: number;
    /**
     * The simulated host.
     */
    host?: {
      /**
       * CPUs.
       */
      cpus?: number;
      /**
       * Memory, in MiB.
       */
      memory_mib?: number;
      /**
       * Serial number.
       */
      serial_number?: string;
    };
    /**
     * Name -> image that volumes can be made from.
     */
    images?: {
      [k: string]: {
        size_bytes: number;
      };
    };
    /**
     * Id -> volume that exists.
     */
    volumes?: {
      [k: string]: {
        size_bytes: number;
        bootable?: boolean;
      };
    };
  };
  /**
   * The log: JSON lines on the standard error stream.
   */
  log?: {
    /**
     * Least level that is written.
     */
    level?: 'debug' | 'info' | 'warn' | 'error';
  };
}
