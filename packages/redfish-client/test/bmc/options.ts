/** A rule that breaks requests; the first that fits and is not used up applies. */
export type Fault = {
  readonly method?: string;
  /** Whole path, or the start of it when it ends with `*`. */
  readonly path: string;
  /** How many requests it breaks; for ever when not given. */
  readonly times?: number;
  readonly does:
    | {
        readonly kind: 'answer';
        readonly status: number;
        readonly headers?: Readonly<Record<string, string>>;
        readonly body?: string;
      }
    /** Never answers. */
    | { readonly kind: 'hang' }
    /** Ends the connection before an answer. */
    | { readonly kind: 'reset' }
    /** Ends the connection in the middle of the body. */
    | { readonly kind: 'cut' }
    /** Bytes that are no HTTP. */
    | { readonly kind: 'garbage' };
};

/** What kind of BMC is played. */
export type BmcOptions = {
  readonly port?: number;
  readonly plainHttp?: boolean;
  readonly vendor?: string;
  readonly product?: string;
  /** `false`: basic authentication alone. */
  readonly sessions?: boolean;
  /** Members on a page of a collection. */
  readonly pageSize?: number;
  /** Whether pages are linked, or the client must use `$skip`. */
  readonly pageLinks?: boolean;
  readonly etags?: 'strong' | 'weak' | 'none';
  /** 428 to a PATCH without If-Match. */
  readonly needIfMatch?: boolean;
  /** Where reset types are published. */
  readonly resetTypes?: 'inline' | 'action-info' | 'nowhere';
  /** Reads of a system until a change of its power is seen. */
  readonly powerReads?: number;
  /** Polls until a task is over; without it nothing becomes a task. */
  readonly taskPolls?: number;
  /** How a task ends. */
  readonly taskEnd?: 'Completed' | 'Exception';
  readonly events?: boolean;
  /** Changes of the boot override go to a settings resource. */
  readonly bootInSettings?: boolean;
  /** Where the BIOS settings are, and whether the resource says so. */
  readonly biosSettings?: string;
  readonly biosAnnotated?: boolean;
  readonly mediaActions?: boolean;
  /** Paths (or starts, with `*`) that are linked and answer 404. */
  readonly missing?: readonly string[];
  readonly faults?: readonly Fault[];
};
