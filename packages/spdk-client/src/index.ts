export type { Backoff } from './backoff.ts';
export {
  type CallArgs,
  type CallOptions,
  createSpdkClient,
  type SpdkClient,
  type SpdkClientEvents,
  type SpdkClientOptions,
} from './client.ts';
export type { Address } from './connection.ts';
export { findBdev, findLvol, findNvmeController, findVhostController } from './ensure/find.ts';
export { createIfAbsent, type Deleted, deleteIfExists, type Ensured } from './ensure/objects.ts';
export {
  deleteLvolIfExists,
  detachNvmeIfExists,
  ensureNvmeController,
  ensureRbdCluster,
  ensureSnapshot,
} from './ensure/storage.ts';
export { deleteVhostController, ensureVhostBlkController } from './ensure/vhost.ts';
export {
  ClosedError,
  ConflictError,
  ConnectionLostError,
  ErrnoError,
  InternalError,
  InUseError,
  InvalidOptionsError,
  InvalidParamsError,
  InvalidRequestError,
  isErrno,
  LimitError,
  MethodNotFoundError,
  ParseError,
  ProtocolError,
  RequestTimeoutError,
  RpcError,
  type RpcErrorParts,
  SpdkError,
  UnexpectedResultError,
  WrongStateError,
} from './errors.ts';
export { type FramerLimits, JsonFramer } from './framer.ts';
export { type Method, method } from './method.ts';
export {
  aio,
  type Bdev,
  type BdevIostat,
  bdev,
  type Iostat,
  iscsi,
  malloc,
  QOS_FLOOR,
  type QosLimits,
  type RateLimits,
} from './methods/bdev.ts';
export { framework, type SpdkVersion } from './methods/framework.ts';
export { type CreateLvol, type Lvol, type Lvstore, lvol, type StoreRef } from './methods/lvol.ts';
export {
  type AttachController,
  type DetachController,
  keyring,
  type Multipath,
  type NvmeController,
  type NvmeOptions,
  nvme,
  type ReconnectOptions,
  type StartDiscovery,
  type TransportId,
} from './methods/nvme.ts';
export {
  type AddNamespace,
  type CreateSubsystem,
  type CreateTransport,
  type ListenAddress,
  type Namespace,
  nvmf,
  type Subsystem,
} from './methods/nvmf.ts';
export { type RbdCluster, type RbdClusterInfo, type RbdImage, rbd } from './methods/rbd.ts';
export { checkReconnect } from './methods/reconnect.ts';
export {
  type CreateVhostBlk,
  type Notification,
  notify,
  type VhostController,
  type VhostSession,
  vfu,
  vhost,
} from './methods/vhost.ts';
export { type NotificationOptions, type NotificationWithLoss, notifications } from './notifications.ts';
export type {
  EmulatedFunction,
  EmulatedVf,
  FunctionRef,
  NewFunction,
  SnapNvmeController,
  SnapSubsystem,
} from './snap/functions.ts';
export { type SnapGeneration, snapGeneration } from './snap/generation.ts';
export { type Snap3Function, type Snap3Place, snap3 } from './snap/snap3.ts';
export { type Hotplug, snap4 } from './snap/snap4.ts';
export { type NvmeControllerOptions, snap4Common, type VirtioBlkController } from './snap/snap4-common.ts';
export { snap4Early } from './snap/snap4-early.ts';
