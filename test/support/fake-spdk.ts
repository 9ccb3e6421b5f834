import { ErrnoError, MethodNotFoundError, type SpdkClient } from 'spdk-client';

/** Parameters of a call, by name. */
export type Params = Readonly<Record<string, unknown>>;

/** A client of an SPDK that is a table of functions. */
export interface FakeSpdk {
  readonly client: SpdkClient;
  /** Every call since the start, but those that only look. */
  readonly calls: { readonly method: string; readonly params: Params }[];
  /** Says that the connection is back, as after a restart. */
  reconnect(): void;
}

/** The error that SPDK answers with this negated number. */
export function refuse(method: string, errno: number, text: string): ErrnoError {
  return new ErrnoError({ method, rpcCode: -errno, peerMessage: text });
}

const looks = /_get_|_list$|^rpc_get_methods$|^framework_/;

/** Makes one; a method that is not in the table is not found. */
export function fakeSpdk(methods: Readonly<Record<string, (params: Params) => unknown>>): FakeSpdk {
  const calls: { method: string; params: Params }[] = [];
  const listeners: ((event: { again: boolean }) => void)[] = [];
  const request = async (method: string, params: object = {}): Promise<unknown> => {
    await Promise.resolve();
    if (!looks.test(method)) calls.push({ method, params: params as Params });
    const handler = methods[method];
    if (!handler) throw new MethodNotFoundError({ method, rpcCode: -32601, peerMessage: 'Method not found' });
    return handler(params as Params);
  };
  const client = {
    state: 'connected',
    async call(method: { name: string; check(value: unknown): boolean }, params?: object) {
      const result = await request(method.name, params);
      if (!method.check(result)) throw new Error(`the fake's answer to ${method.name} is not one of SPDK`);
      return result;
    },
    request,
    on(name: string, listener: (event: { again: boolean }) => void) {
      if (name === 'connected') listeners.push(listener);
      return () => undefined;
    },
    close: () => undefined,
  } as unknown as SpdkClient;
  return {
    client,
    calls,
    reconnect: () => {
      for (const each of listeners) each({ again: true });
    },
  };
}

/** Bdevs that can be made and removed, for the table of a fake. */
export function fakeBdevs(): {
  readonly all: Map<string, object>;
  add(name: string, more?: object): string;
  readonly methods: Readonly<Record<string, (params: Params) => unknown>>;
} {
  const all = new Map<string, object>();
  const add = (name: string, more: object = {}): string => {
    all.set(name, {
      name,
      aliases: [],
      product_name: 'fake',
      block_size: 512,
      num_blocks: 2048,
      claimed: false,
      ...more,
    });
    return name;
  };
  const remove =
    (method: string) =>
    ({ name }: Params): true => {
      if (!all.delete(String(name))) throw refuse(method, 19, 'No such device');
      return true;
    };
  return {
    all,
    add,
    methods: {
      bdev_get_bdevs: ({ name }) => {
        const found = [...all.values()].filter(
          (each) => name === undefined || (each as { name: string }).name === name,
        );
        if (name !== undefined && found.length === 0) throw refuse('bdev_get_bdevs', 19, 'No such device');
        return found;
      },
      bdev_malloc_create: ({ name }) => add(String(name)),
      bdev_malloc_delete: remove('bdev_malloc_delete'),
      bdev_rbd_delete: remove('bdev_rbd_delete'),
      bdev_iscsi_delete: remove('bdev_iscsi_delete'),
      bdev_aio_create: ({ name }) => add(String(name)),
      bdev_aio_delete: remove('bdev_aio_delete'),
    },
  };
}
