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
export { decodeReply, decodeRequest, encodeReply, encodeRequest, type Reply, type Request } from './codec.ts';
export { type CallContext, type Endpoint, type Handler, isVersionCompatible } from './dispatcher.ts';
export type { BadMessageReason, Decoded, DecodeLimits, ReplyTo } from './envelope.ts';
export {
  BadTransportUrlError,
  ClosedError,
  ConnectionLostError,
  EncodeError,
  FlagsMismatchError,
  MessagingError,
  MessagingTimeout,
  RefusedError,
  RemoteError,
  UnroutableError,
  VersionCapError,
} from './errors.ts';
export { type AllowedModules, type FailureParts, type RemoteErrorClass, RpcFailure } from './failure.ts';
export type { Logger } from './logger.ts';
export {
  decodeNotification,
  encodeNotification,
  type Notification,
  type NotificationPriority,
  notificationPriorities,
} from './notification.ts';
export {
  createNotificationListener,
  type NotificationContext,
  type NotificationHandler,
  type NotificationListener,
  type NotificationListenerOptions,
} from './notification-listener.ts';
export { createNotifier, type Notifier, type NotifierOptions, type NotifyOptions } from './notifier.ts';
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
