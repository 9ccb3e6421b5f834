export { type Action, readAction } from './action.ts';
export { fingerprintOf, type TlsOptions } from './agent.ts';
export type { Backoff } from './backoff.ts';
export { type Bios, type BiosValue, readBios, readBiosRegistry, resetBios, setBios } from './bios.ts';
export {
  type BootOption,
  type BootRequest,
  type BootResult,
  type BootState,
  bootStateOf,
  listBootOptions,
  setBoot,
} from './boot.ts';
export { type Chassis, listChassis, listManagers, type Manager } from './chassis.ts';
export { type Answer, connectRedfish, type RedfishClient, type RequestOptions } from './client.ts';
export type { RedfishOptions, Settings } from './client-options.ts';
export { members, type Resource, readAll, readCollection } from './collection.ts';
export {
  BadOptionError,
  ClosedError,
  ConnectionError,
  HttpError,
  LookupError,
  ProtocolError,
  RedfishError,
  RedfishTimeout,
  TaskError,
  TlsError,
  UnsupportedError,
} from './errors.ts';
export { eventStreamPath, eventsOf, type RedfishEvent, type StreamOptions, streamEvents } from './events.ts';
export { messagesOf, type RedfishMessage } from './extended-info.ts';
export type { Gathered, Problem } from './gathered.ts';
export { type Inventory, type InventoryPart, readInventory } from './inventory.ts';
export type {
  Drive,
  EthernetInterface,
  MemoryModule,
  NetworkAdapter,
  Part,
  PcieDevice,
  Processor,
  Storage,
} from './inventory-parts.ts';
export type { JsonObject } from './json.ts';
export type { Notice, Notify } from './notice.ts';
export { type PatchOptions, patch } from './patch.ts';
export {
  POWER_INTENTS,
  type PowerIntent,
  type PowerOptions,
  type PowerResult,
  RESET_TYPES,
  type ResetOffer,
  type ResetType,
  readResetOffer,
  resetSystem,
  setPower,
  waitForPower,
} from './power.ts';
export { QUIRKS, type QuirkRow, type Quirks, quirksFor, quirksOf, STANDARD } from './quirks.ts';
export { readSerialConsoles, type SerialConsole } from './serial-console.ts';
export { readServiceRoot, type ServiceRoot } from './service-root.ts';
export type { Auth } from './session.ts';
export type { CallOptions } from './signals.ts';
export { type SseEvent, type SseParser, sseParser } from './sse.ts';
export { type SubscriptionRequest, subscribe, unsubscribe } from './subscription.ts';
export { findSystem, listSystems, readSystem, type System, type SystemKey } from './system.ts';
export { awaitTask, cancelTask, type PerformOptions, perform, type TaskProgress } from './task.ts';
export { ejectMedia, insertMedia, listVirtualMedia, type MediaRequest, type VirtualMedia } from './virtual-media.ts';
export { type Change, watch } from './watch.ts';
