/** Generated from schemas/config.json by `npm run schemas`. Do not edit. */

/**
 * The daemon's configuration file (YAML). Defaults stand here and nowhere else.
 */
export interface SocDaemonConfig {
  /**
   * What is beneath the ports.
   */
  profile: 'sim';
  node: {
    /**
     * The node's identity towards the platform; stored at first start, a later mismatch refuses to start.
     */
    hostname: string;
    type?: 'BM';
    /**
     * Only for a node whose identity is known from elsewhere; otherwise made at first start.
     */
    uuid?: string;
  };
  /**
   * The store and the lock; absolute, or relative to this file.
   */
  state_dir: string;
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
    exchange?: string;
    topic?: string;
    platform_topic?: string;
    durable_queues?: boolean;
    auto_delete?: boolean;
    quorum_queues?: boolean;
    transient_queues_ttl_s?: number;
    heartbeat_s?: number;
    prefetch?: number;
    max_body_bytes?: number;
  };
  rest?: {
    /**
     * Path of the unix socket. Default: `rest.sock` in state_dir.
     */
    socket?: string;
    socket_mode?: string;
    max_body_bytes?: number;
    requests_per_second?: number;
    request_timeout_ms?: number;
    tcp?: {
      host?: string;
      port: number;
      cert_file: string;
      key_file: string;
      /**
       * 0600; its first line is the bearer token.
       */
      token_file: string;
    };
  };
  operations?: {
    max_concurrent?: number;
    drain_ms?: number;
  };
  reports?: {
    interval_s?: number;
  };
  reconcile?: {
    interval_s?: number;
  };
  retention?: {
    days?: number;
    max_operations?: number;
  };
  catalogue?: {
    flavors?: {
      [k: string]: {
        vcpus: number;
        memory_mib: number;
        root_gib?: number;
      };
    };
    subnets?: {
      [k: string]: {
        /**
         * IPv4, e.g. 10.0.0.0/24
         */
        cidr: string;
        gateway?: string;
        pool?: {
          first: string;
          last: string;
        };
        mac_prefix?: string;
      };
    };
  };
  sim?: {
    /**
     * Where the simulated hardware lives, so that it outlives the daemon. Default: `world.db` in state_dir.
     */
    world_file?: string;
    /**
     * How long each effect takes.
     */
    latency_ms?: number;
    model?: string;
    functions?: number;
    host?: {
      cpus?: number;
      memory_mib?: number;
      serial_number?: string;
    };
    images?: {
      [k: string]: {
        size_bytes: number;
      };
    };
    volumes?: {
      [k: string]: {
        size_bytes: number;
        bootable?: boolean;
      };
    };
  };
  log?: {
    level?: 'debug' | 'info' | 'warn' | 'error';
  };
}
