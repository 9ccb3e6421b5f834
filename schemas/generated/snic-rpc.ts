/** Generated from schemas/snic-rpc.json by `npm run schemas`. Do not edit. */

/**
 * snic-controller's methods: the params of each, and what it answers.
 */
export interface SnicRpc {
  create_pf?: CreatePf;
  create_vf?: CreateVf;
  create_storage_dev?: CreateStorageDev;
  get_pf?: GetPf;
  get_vf?: GetVf;
  get_storage_dev?: GetStorageDev;
  delete_pf?: DeletePf;
  delete_vf?: DeleteVf;
  delete_storage_dev?: DeleteStorageDev;
  plug_function?: PlugFunction;
  unplug_function?: UnplugFunction;
  list_functions?: ListFunctions;
  describe?: Describe;
  set_function?: SetFunction;
  watch?: Watch;
  function?: FunctionAnswer;
  functions?: FunctionsAnswer;
  card?: CardAnswer;
}
export interface CreatePf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id?: string;
  type?: 'PF';
  class?: 'virtio-net' | 'virtio-blk' | 'nvme';
  /**
   * What the function shall offer to the host; `describe` says what there is.
   *
   * @maxItems 32
   */
  features?: string[];
  /**
   * Show it to the host at once.
   */
  plug?: boolean;
  mark?: FunctionMark;
  /**
   * In any usual spelling; answered in lower case with colons. Network functions only; one is chosen when none is given.
   */
  mac?: string;
}
/**
 * Whose the function is; given back by every answer, for a daemon that lost its store.
 */
export interface FunctionMark {
  node: string;
  instance: string;
  role: 'nic' | 'disk' | 'boot';
  /**
   * An id that another service chose: a volume's, a port's.
   */
  key: string;
  name: string;
  flavor: {
    name: string;
    vcpus: number;
    memory_mib: number;
  };
  deleteWithInstance?: boolean;
  port?: {
    subnet: string | null;
    /**
     * @maxItems 64
     */
    ips: string[];
  };
}
export interface CreateVf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id?: string;
  type?: 'VF';
  class?: 'virtio-net' | 'virtio-blk' | 'nvme';
  /**
   * What the function shall offer to the host; `describe` says what there is.
   *
   * @maxItems 32
   */
  features?: string[];
  /**
   * Show it to the host at once.
   */
  plug?: boolean;
  mark?: FunctionMark;
  /**
   * In any usual spelling; answered in lower case with colons. Network functions only; one is chosen when none is given.
   */
  mac?: string;
  /**
   * Id of its PF, where the card wants one.
   */
  parent?: string;
}
export interface CreateStorageDev {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id?: string;
  type?: 'PF' | 'VF';
  class?: 'virtio-blk' | 'nvme';
  /**
   * What the function shall offer to the host; `describe` says what there is.
   *
   * @maxItems 32
   */
  features?: string[];
  /**
   * Show it to the host at once.
   */
  plug?: boolean;
  mark?: FunctionMark;
  /**
   * Id of its PF, for a VF.
   */
  parent?: string;
}
export interface GetPf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface GetVf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface GetStorageDev {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface DeletePf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface DeleteVf {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface DeleteStorageDev {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface PlugFunction {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
}
export interface UnplugFunction {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
  /**
   * How long a running host has to release it, in milliseconds.
   */
  deadline_ms?: number;
  /**
   * Take it away without the host's consent, where the card can.
   */
  force?: boolean;
}
export interface ListFunctions {}
export interface Describe {}
export interface SetFunction {
  /**
   * The function's id; chosen by the caller, made when none is given.
   */
  id: string;
  /**
   * In any usual spelling; answered in lower case with colons. Network functions only; one is chosen when none is given.
   */
  mac?: string;
  link?: 'up' | 'down';
  /**
   * Bits per second; 0 is no limit.
   */
  rate?: number;
}
export interface Watch {}
/**
 * A function, as every method answers it.
 */
export interface FunctionAnswer {
  id: string;
  mac: string | null;
  /**
   * Address on the host; null while it does not see the function.
   */
  bdf: string | null;
  /**
   * `changed`: another than the function's first one.
   */
  bdf_state: 'assigned' | 'pending' | 'unknown' | 'changed';
  features: string[];
  type: 'PF' | 'VF';
  class: 'virtio-net' | 'virtio-blk' | 'nvme';
  /**
   * Whether the host can see it.
   */
  plugged: boolean;
  /**
   * The host was asked to release it and has not.
   */
  unplug_pending: boolean;
  /**
   * Its netdev on the SoC; null for storage.
   */
  representor: string | null;
  /**
   * The card's own stable name for it.
   */
  vuid: string | null;
  /**
   * A VF's PF, if it was made with one.
   */
  parent: string | null;
  /**
   * As it was set; null: never set.
   */
  link: 'up' | 'down' | null;
  /**
   * As it was set, in bits per second; null: never set.
   */
  rate: number | null;
  mark: FunctionMark | null;
  /**
   * Not made here: never touched. Its id is the card's name for it.
   */
  foreign: boolean;
}
export interface FunctionsAnswer {
  functions: FunctionAnswer[];
}
export interface CardAnswer {
  backend: 'sim' | 'virtual' | 'bluefield';
  model: string;
  serial_number: string | null;
  capacity: number;
  free: number;
  /**
   * Whether the card keeps the host away from its own configuration; null where it can't be told.
   */
  host_restricted: boolean | null;
  kinds: {
    type: 'PF' | 'VF';
    class: 'virtio-net' | 'virtio-blk' | 'nvme';
    features: string[];
  }[];
  vfs: 'made' | 'claimed' | 'none';
  bdf: 'fixed' | 'host';
  set: {
    mac: 'always' | 'unplugged' | 'never';
    link: boolean;
    rate: boolean;
  };
}
