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
export {
  BOOT_DEVICES,
  type BootDevice,
  type BootFlags,
  type BootOverride,
  getBootFlags,
  setBootOverride,
} from './commands/boot.ts';
export {
  CHASSIS_ACTIONS,
  type ChassisAction,
  type ChassisStatus,
  chassisControl,
  chassisIdentify,
  getChassisStatus,
  type RestorePolicy,
} from './commands/chassis.ts';
export { type DeviceId, getDeviceId, getSystemGuid } from './commands/device.ts';
export { type FruInfo, getFruInfo, readFru, readFruData } from './commands/fru.ts';
export {
  type Fru,
  type FruBoard,
  type FruChassis,
  type FruField,
  type FruProduct,
  type FruRecord,
  parseFru,
} from './commands/fru-areas.ts';
export { type AddressSource, getLanParameter, getLanParameters, type LanParameters } from './commands/lan.ts';
export { getSdrRepositoryInfo, readSdrRepository, type SdrRepositoryInfo } from './commands/sdr.ts';
export {
  type CompactSensorRecord,
  type EventOnlyRecord,
  type FruLocatorRecord,
  type FullSensorRecord,
  type McLocatorRecord,
  type OtherRecord,
  parseSdr,
  type SdrRecord,
  type SensorRecord,
  THRESHOLDS,
  type ThresholdName,
} from './commands/sdr-records.ts';
export {
  getSelInfo,
  parseSelEntry,
  readSel,
  type SelEntry,
  type SelEvent,
  type SelInfo,
  type SelOther,
} from './commands/sel.ts';
export { getSensorThresholds, readSensor, type SensorReading, type SensorThresholds } from './commands/sensor.ts';
export { type AnalogFormat, convertReading, type SensorFactors } from './commands/sensor-conversion.ts';
export type { TextEncoding } from './commands/type-length.ts';
export {
  IpmiArgumentError,
  IpmiAuthError,
  IpmiBusyError,
  IpmiCipherError,
  IpmiClosedError,
  IpmiCompletionError,
  IpmiError,
  IpmiFormatError,
  IpmiNotSupportedError,
  IpmiSessionError,
  IpmiSessionLostError,
  IpmiSolError,
  IpmiTimeoutError,
  IpmiUnreachableError,
} from './errors.ts';
export { type IpmiRequest, NET_FN } from './message.ts';
export type { Privilege } from './privilege.ts';
export { openSol, type SolOptions } from './sol/open-sol.ts';
export type { SolStream } from './sol/sol-stream.ts';
