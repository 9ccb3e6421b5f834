export {
  connectQmp,
  type ExecuteArgs,
  type QmpAddress,
  type QmpClient,
  type QmpOptions,
  type WaitOptions,
} from './client.ts';
export {
  type BlockdevOptions,
  type BlockExportAdd,
  type BlockExportInfo,
  type BlockNodeInfo,
  type Command,
  type DeviceAdd,
  type Empty,
  type JobInfo,
  type NetdevAdd,
  type ObjectAdd,
  type PciBus,
  type PciDevice,
  pciFunctions,
  type QmpCommands,
  type SocketAddress,
  type StatusInfo,
} from './commands.ts';
export type { CallOptions } from './deadline.ts';
export { type DeviceDelOptions, deviceDel, deviceExists } from './device-del.ts';
export {
  ClosedError,
  CommandError,
  type CommandErrorParts,
  CommandNotFoundError,
  ConnectionLostError,
  DeviceNotActiveError,
  DeviceNotFoundError,
  EventsLostError,
  GenericError,
  KvmMissingCapError,
  LimitError,
  OobUnavailableError,
  ProtocolError,
  QmpError,
  QmpTimeoutError,
  UnplugPendingError,
  UnplugRefusedError,
} from './errors.ts';
export type { EventOptions, QmpEvents, ReceivedEvent } from './event-queue.ts';
export type { Greeting, QemuVersion, QmpEvent } from './messages.ts';
export type { CloseReason } from './session.ts';
