/** A small client of the stack's services, for setting it up, for the demo and for tests: one token, one project, JSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { StackError } from './programs.ts';

/** Who signs in. */
export interface Account {
  /** Keystone, with or without `/v3`. */
  readonly authUrl: string;
  readonly username: string;
  readonly password: string;
  /** Name of the project. */
  readonly project: string;
}

/** A service by its type in the catalogue. */
export type ServiceName = 'identity' | 'compute' | 'placement' | 'image' | 'network' | 'volumev3';

/** An answer that was not a success. */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a call may have besides method and path. */
export interface CallOptions {
  /** Sent as JSON, or as it is where it is bytes. */
  readonly body?: unknown;
  /** Instead of the newest that Zed has. */
  readonly microversion?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Somebody who has signed in. */
export interface Session {
  readonly account: Account;
  readonly projectId: string;
  readonly userId: string;
  readonly token: string;
  /** Answers the body, undefined where there is none. @throws RestError for a status that is no success */
  call<Answer = unknown>(service: ServiceName, method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** The body as bytes. @throws RestError */
  download(service: ServiceName, path: string): Promise<Buffer>;
  endpoint(service: ServiceName): string;
}

/** Zed's newest, by the header that names it. */
const VERSIONS: Readonly<Partial<Record<ServiceName, readonly [string, string]>>> = {
  compute: ['compute', '2.93'],
  placement: ['placement', '1.39'],
  volumev3: ['volume', '3.70'],
};

/** A token may take so long where the machine has much to do. */
const TIMEOUT_MS = 120_000;

/** Signs in. @throws RestError, StackError */
export async function signIn(account: Account): Promise<Session> {
  const identity = `${account.authUrl.replace(/\/v3\/?$/, '')}/v3`;
  const domain = { name: 'Default' };
  const body = {
    auth: {
      identity: {
        methods: ['password'],
        password: { user: { name: account.username, domain, password: account.password } },
      },
      scope: { project: { name: account.project, domain } },
    },
  };
  const response = await send(`${identity}/auth/tokens`, { method: 'POST', body: JSON.stringify(body), headers: json });
  if (!response.ok) throw await failure(response, `signing in as ${account.username}`);
  const token = response.headers.get('x-subject-token') ?? '';
  const { token: about } = (await response.json()) as TokenAnswer;
  const endpoint = (service: ServiceName): string => {
    if (service === 'identity') return identity;
    const found = about.catalog
      .find(({ type }) => type === service)
      ?.endpoints.find((each) => each.interface === 'public');
    if (found === undefined) throw new StackError(`the catalogue has no ${service}`);
    return found.url.replace(/\/$/, '');
  };

  async function request(service: ServiceName, method: string, path: string, options: CallOptions): Promise<Response> {
    const { body: content, microversion, headers = {} } = options;
    const [name, newest] = VERSIONS[service] ?? [];
    const isBytes = content instanceof Uint8Array;
    const response = await send(`${endpoint(service)}${path}`, {
      method,
      headers: {
        ...json,
        'X-Auth-Token': token,
        ...(name === undefined ? {} : { 'OpenStack-API-Version': `${name} ${microversion ?? newest}` }),
        ...(isBytes ? { 'Content-Type': 'application/octet-stream' } : {}),
        ...headers,
      },
      ...(content === undefined ? {} : { body: isBytes ? new Uint8Array(content) : JSON.stringify(content) }),
    });
    if (!response.ok) throw await failure(response, `${method} ${service} ${path}`);
    return response;
  }

  return {
    account,
    token,
    projectId: about.project.id,
    userId: about.user.id,
    endpoint,
    async call<Answer>(service: ServiceName, method: string, path: string, options: CallOptions = {}) {
      const text = await (await request(service, method, path, options)).text();
      return (text === '' ? undefined : JSON.parse(text)) as Answer;
    },
    async download(service, path) {
      return Buffer.from(await (await request(service, 'GET', path, {})).arrayBuffer());
    },
  };
}

/** Signs in again and again until the identity service knows the account. @throws what the last try met, after `ms` */
export async function signInWhenReady(account: Account, ms: number): Promise<Session> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await signIn(account);
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(100);
    }
  }
}

interface TokenAnswer {
  readonly token: {
    readonly project: { readonly id: string };
    readonly user: { readonly id: string };
    readonly catalog: readonly {
      readonly type: string;
      readonly endpoints: readonly { readonly interface: string; readonly url: string }[];
    }[];
  };
}

const json = { 'Content-Type': 'application/json', Accept: 'application/json' } as const;

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    throw new StackError(`${url} does not answer: ${String((cause as Error).cause ?? cause)}`, { cause });
  }
}

async function failure(response: Response, what: string): Promise<RestError> {
  return new RestError(response.status, `${what}: ${response.status} ${(await response.text()).slice(0, 600)}`);
}
