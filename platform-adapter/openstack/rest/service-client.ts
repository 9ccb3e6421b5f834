import { hasCode } from '../../../core/errors.ts';
import type { Json } from '../../../core/units.ts';
import type { CallOptions, HttpAnswer, HttpClient, HttpMethod, HttpRequest, HttpStream } from './http.ts';
import type { ServiceType } from './keystone.ts';

/** A request to a service; the path is relative to its endpoint, and encoded by the caller (`encodeURIComponent`). */
export interface ServiceRequest {
  /** What we are doing, for errors: `show volume 7000…`. */
  readonly doing: string;
  readonly method: HttpMethod;
  /** `ports/…` */
  readonly path: string;
  /** Several values make several parameters; undefined ones are left out. */
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: Json;
  readonly stream?: NonNullable<HttpRequest['stream']>;
  readonly repeatable?: boolean;
  readonly maxBytes?: number;
  /** `3.44`: sent as `OpenStack-API-Version: volume 3.44`, by the service's own name for itself. */
  readonly microversion?: string;
}

/** Calls one service as somebody. Errors are HttpClient's; a 401 gets a new token once. */
export interface ServiceClient {
  send(request: ServiceRequest, options?: CallOptions): Promise<HttpAnswer>;
  open(request: ServiceRequest, options?: CallOptions): Promise<HttpStream>;
}

/** Where a service is and as whom it is called. */
export interface ServiceAccess {
  /** The catalogue's endpoint. */
  base(options?: CallOptions): Promise<URL>;
  /** `refused`: our token that was just refused, not to be answered again. */
  tokens(
    options?: CallOptions,
    refused?: string,
  ): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly ours: string }>;
}

/** What a service is called in messages and in the microversion's header, and its path up to what never changes; null: it has no microversions. */
const services: Readonly<
  Record<ServiceType, { readonly name: string; readonly header: string | null; readonly version: string }>
> = {
  placement: { name: 'placement', header: 'placement', version: '' },
  network: { name: 'neutron', header: null, version: 'v2.0' },
  volumev3: { name: 'cinder', header: 'volume', version: '' },
  image: { name: 'glance', header: null, version: 'v2' },
  compute: { name: 'nova', header: 'compute', version: '' },
};

/** A client of one service. Asks nobody before its first call. */
export function createServiceClient(type: ServiceType, http: HttpClient, access: ServiceAccess): ServiceClient {
  const service = services[type];

  async function asked<Result>(
    request: ServiceRequest,
    options: CallOptions | undefined,
    ask: (request: HttpRequest) => Promise<Result>,
  ): Promise<Result> {
    const url = urlOf(await access.base(options), service.version, request);
    const { path, query, headers, microversion, ...rest } = request;
    const version =
      microversion === undefined || service.header === null
        ? {}
        : { 'OpenStack-API-Version': `${service.header} ${microversion}` };
    const as = (tokens: Readonly<Record<string, string>>): HttpRequest => ({
      ...rest,
      service: service.name,
      url,
      headers: { ...version, ...headers, ...tokens },
    });
    const first = await access.tokens(options);
    try {
      return await ask(as(first.headers));
    } catch (error) {
      // what was streamed can't be sent again; a fresh token is what the next call gets
      if (!isUnauthorized(error) || request.stream !== undefined) throw error;
      const second = await access.tokens(options, first.ours);
      return await ask(as(second.headers));
    }
  }

  return {
    send: (request, options) => asked(request, options, (each) => http.send(each, options)),
    open: (request, options) => asked(request, options, (each) => http.open(each, options)),
  };
}

function isUnauthorized(error: unknown): boolean {
  return hasCode(error, 'denied') && error.details?.status === 401;
}

/** Catalogues name Neutron and Glance with their version or without. */
function urlOf(base: URL, version: string, { path, query }: ServiceRequest): URL {
  const root = base.href.replace(/\/+$/, '');
  const missing = version === '' || root.endsWith(`/${version}`) ? '' : `/${version}`;
  const url = new URL(`${root}${missing}/${path}`);
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of value === undefined ? [] : typeof value === 'string' ? [value] : value) {
      url.searchParams.append(name, each);
    }
  }
  return url;
}
