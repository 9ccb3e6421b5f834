export type { Backoff } from './backoff.ts';
export {
  type Args,
  type CallOptions,
  type CastOptions,
  createRpcClient,
  type RpcClient,
  type RpcClientOptions,
  type SendOptions,
} from './client.ts';
export {
  type BadMessageReason,
  type Decoded,
  type DecodeLimits,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
  type Reply,
  type ReplyTo,
  type Request,
} from './codec.ts';
export { type CallContext, type Endpoint, type Handler, isVersionCompatible } from './dispatcher.ts';
export {
  BadTransportUrlError,
  ClosedError,
  ConnectionLostError,
  EncodeError,
  MessagingError,
  MessagingTimeout,
  RefusedError,
  RemoteError,
  UnroutableError,
} from './errors.ts';
export { type FailureParts, RpcFailure } from './failure.ts';
export type { Logger } from './logger.ts';
export { createRpcServer, type RpcServer, type RpcServerOptions } from './server.ts';
export type { QueueFlags } from './topology.ts';
export {
  createTransport,
  type TlsOptions,
  type Transport,
  type TransportEvents,
  type TransportOptions,
  type TransportState,
} from './transport.ts';
export { type BrokerAddress, parseTransportUrl, type TlsFiles, type TransportUrl } from './transport-url.ts';
