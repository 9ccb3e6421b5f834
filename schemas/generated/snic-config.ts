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
