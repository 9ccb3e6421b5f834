import { isList, isObject, isStrings, isTrue, method, type None } from '../method.ts';

/** Answer of `spdk_get_version`. */
export interface SpdkVersion {
  readonly version: string;
  readonly fields: { readonly major: number; readonly minor: number; readonly patch: number; readonly suffix: string };
}

/** One subsystem and those that it needs. */
export interface Subsystem {
  readonly subsystem: string;
  readonly depends_on: readonly string[];
}

/** One call that would make the present configuration again, as `framework_get_config` lists them. */
export interface ConfigCall {
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Answer of `framework_get_reactors`: times are in ticks, `tick_rate` of them a second. */
export interface Reactors {
  readonly tick_rate: number;
  readonly reactors: readonly {
    readonly lcore: number;
    readonly busy: number;
    readonly idle: number;
    readonly in_interrupt: boolean;
    readonly lw_threads: readonly { readonly name: string; readonly id: number; readonly cpumask: string }[];
  }[];
}

/** The application itself (SPDK doc/jsonrpc.md, "App Framework"). */
export const framework = {
  /** The version of SPDK. */
  version: method<None, SpdkVersion>('spdk_get_version', isObject({ version: 'string', fields: 'object' })),
  /** The methods of this build; with `current: true` only those that the present state allows. */
  methods: method<{ readonly current?: boolean }, readonly string[]>('rpc_get_methods', isStrings),
  /** Answers when the subsystems are up. */
  waitInit: method<None, true>('framework_wait_init', isTrue),
  /** Brings the subsystems up, in an application that was started with `--wait-for-rpc`. */
  startInit: method<None, true>('framework_start_init', isTrue),
  /** The subsystems in the order of their start. */
  subsystems: method<None, readonly Subsystem[]>(
    'framework_get_subsystems',
    isList({ subsystem: 'string', depends_on: 'array' }),
  ),
  /** The calls that would make one subsystem's present configuration. For diagnostics: vendors' objects are not in it. */
  config: method<{ readonly name: string; readonly with_batches?: boolean }, readonly ConfigCall[] | null>(
    'framework_get_config',
    (value): value is readonly ConfigCall[] | null => value === null || isList<ConfigCall>({ method: 'string' })(value),
  ),
  /** The reactors and what runs on them. */
  reactors: method<None, Reactors>('framework_get_reactors', isObject({ tick_rate: 'number', reactors: 'array' })),
} as const;
