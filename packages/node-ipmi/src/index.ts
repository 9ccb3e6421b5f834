export type { Backoff } from './backoff.ts';
export type { CipherSuiteId } from './cipher-suites.ts';
export {
  type CallOptions,
  createIpmiClient,
  type IpmiClient,
  type IpmiClientEvents,
  type IpmiClientOptions,
  type IpmiRequester,
  type RequestOptions,
} from './client.ts';
