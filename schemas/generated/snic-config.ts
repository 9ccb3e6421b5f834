/** Generated from schemas/snic-config.json by `npm run schemas`. Do not edit. */

/**
 * snic-controller's configuration file (YAML). Paths are absolute, or relative to it.
 */
export interface SnicConfig {
  /**
   * The store: function ids and what they are on the card.
   */
  state_dir: string;
  /**
   * Where it is served, and to whom.
   */
  socket?: {
    /**
     * The unix socket. Default: `snic.sock` in state_dir.
     */
    path?: string;
    /**
     * Octal: who may open it may do everything.
     */
    mode?: string;
    /**
     * Group that the socket is given, by name or number. Default: the process's.
     */
    group?: string;
    /**
     * A larger request ends its connection.
     */
    max_request_bytes?: number;
    /**
     * Connections at once.
     */
    max_connections?: number;
  };
  /**
   * The card.
   */
  backend: {
    /**
     * `sim`: a simulated card. `virtual`: the virtual DPU's. `bluefield`: an NVIDIA BlueField.
     */
    kind: 'sim' | 'virtual' | 'bluefield';
    /**
     * For `sim`.
     */
    sim?: {
      /**
       * Functions that the card can have.
       */
      functions?: number;
      /**
       * What it says it is.
       */
      model?: string;
      /**
       * The simulated host at the card's first start.
       */
      host_power?: 'on' | 'off';
    };
    /**
     * For `virtual`, and needed there.
     */
    virtual?: {
      /**
       * The host's QMP socket that is for this program alone.
       */
      qmp: string;
      /**
       * What serves storage functions.
       */
      front: {
        /**
         * How a storage function reaches the controller that bears its id.
         */
        kind?: 'nbd' | 'vhost-user';
        /**
         * `nbd`: the unix socket. `vhost-user`: the directory of sockets.
         */
        path: string;
      };
      /**
       * Of the card.
       */
      serial_number?: string;
      /**
       * How many of the host's root ports to use at most.
       */
      root_ports?: number;
      /**
       * Network namespace of representors and host. Default: the process's own.
       */
      netns?: string;
    };
    /**
     * For `bluefield`, and needed there.
     */
    bluefield?: {
      /**
       * As the vendor prints it.
       */
      model?: string;
      /**
       * Of the card.
       */
      serial_number?: string;
      /**
       * Functions that can be hot-plugged: one less than the firmware's PCI_SWITCH_EMULATION_NUM_PORT.
       */
      hotplug_ports: number;
      /**
       * Where network functions are made. Absent: none are.
       */
      network?: {
        /**
         * RDMA device of the port: `mlx5_0`, `mlx5_bond_0`.
         */
        device: string;
        /**
         * Number of the port's physical function.
         */
        pfnum?: number;
        /**
         * First SF number that is ours; the card's own functions use others.
         */
        first_sf: number;
        /**
         * How many SF numbers are ours.
         */
        sfs: number;
        /**
         * MTU of the functions.
         */
        mtu?: number;
        /**
         * Queues of each function.
         */
        queues?: number;
        /**
         * Entries of each queue.
         */
        queue_size?: number;
      };
      /**
       * SNAP's JSON-RPC socket. Absent: no storage functions are made.
       */
      snap_socket?: string;
      /**
       * The host's own VFs that may be claimed. Absent: none are.
       */
      vfs?: {
        /**
         * Number of the host's physical function.
         */
        pfnum?: number;
        /**
         * Number of the host's controller; 0 is the SoC.
         */
        controller?: number;
      };
      /**
       * What `mlxprivhost -d` is given. Absent: nobody can tell whether the host is restricted.
       */
      mst_device?: string;
      /**
       * Paths of the programs, or names to look up in PATH.
       */
      programs?: {
        /**
         * CLI of virtio-net-controller.
         */
        virtnet?: string;
        /**
         * iproute2's, or `mlxdevm` with the same verbs.
         */
        devlink?: string;
        /**
         * iproute2's.
         */
        ip?: string;
        /**
         * Tells whether the host is restricted.
         */
        mlxprivhost?: string;
      };
    };
  };
  /**
   * One JSON line an event on standard error.
   */
  log?: {
    /**
     * Least level that is written.
     */
    level?: 'debug' | 'info' | 'warn' | 'error';
  };
}
