type Entry = readonly [name: string, text: string];

/** Generic completion codes, C0h to FFh (IPMI 2.0 table 5-2). */
const GENERIC: Readonly<Record<number, Entry>> = {
  192: ['node-busy', 'node busy'],
  193: ['invalid-command', 'invalid command'],
  194: ['invalid-for-lun', 'command invalid for the given LUN'],
  195: ['processing-timeout', 'timeout while processing the command'],
  196: ['out-of-space', 'out of space'],
  197: ['reservation-canceled', 'reservation canceled or invalid reservation id'],
  198: ['data-truncated', 'request data truncated'],
  199: ['data-length-invalid', 'request data length invalid'],
  200: ['data-length-exceeded', 'request data field length limit exceeded'],
  201: ['parameter-out-of-range', 'parameter out of range'],
  202: ['cannot-return-that-many', 'cannot return the number of requested data bytes'],
  203: ['not-present', 'requested sensor, data, or record not present'],
  204: ['invalid-data-field', 'invalid data field in the request'],
  205: ['illegal-for-sensor', 'command illegal for the specified sensor or record type'],
  206: ['cannot-respond', 'command response could not be provided'],
  207: ['duplicate-request', 'cannot execute a duplicated request'],
  208: ['sdr-update-mode', 'SDR repository in update mode'],
  209: ['firmware-update-mode', 'device in firmware update mode'],
  210: ['bmc-initializing', 'BMC initialization in progress'],
  211: ['destination-unavailable', 'destination unavailable'],
  212: ['insufficient-privilege', 'insufficient privilege level'],
  213: ['not-supported-in-state', 'not supported in the present state'],
  214: ['sub-function-disabled', 'sub-function disabled or unavailable'],
  255: ['unspecified', 'unspecified error'],
};

/** Command-specific codes, 80h to BEh, by `netFn:command:code` in hex (the section of each command). */
const SPECIFIC: Readonly<Record<string, Entry>> = {
  '00:08:80': ['parameter-not-supported', 'parameter not supported'],
  '00:08:81': ['set-in-progress', 'another set is in progress'],
  '00:08:82': ['parameter-read-only', 'parameter is read-only'],
  '00:09:80': ['parameter-not-supported', 'parameter not supported'],
  '06:3b:80': ['privilege-not-available', 'requested level not available for this user'],
  '06:3b:81': ['privilege-exceeds-limit', 'requested level exceeds the channel or user limit'],
  '06:3b:82': ['user-level-disabled', 'user level authentication can not be disabled'],
  '06:3c:87': ['invalid-session-id', 'invalid session id'],
  '06:3c:88': ['invalid-session-handle', 'invalid session handle'],
  '06:48:80': ['payload-active-elsewhere', 'payload already active on another session'],
  '06:48:81': ['payload-disabled', 'payload type is disabled'],
  '06:48:82': ['payload-limit-reached', 'payload activation limit reached'],
  '06:48:83': ['payload-not-with-encryption', 'payload can not be activated with encryption'],
  '06:48:84': ['payload-not-without-encryption', 'payload can not be activated without encryption'],
  '06:49:80': ['payload-already-inactive', 'payload already deactivated'],
  '06:49:81': ['payload-disabled', 'payload type is disabled'],
  '0a:11:81': ['fru-busy', 'FRU device busy'],
  '0a:40:81': ['sel-erase-in-progress', 'cannot execute, SEL erase in progress'],
  '0a:42:81': ['sel-erase-in-progress', 'cannot execute, SEL erase in progress'],
  '0a:43:81': ['sel-erase-in-progress', 'cannot execute, SEL erase in progress'],
  '0c:02:80': ['parameter-not-supported', 'parameter not supported'],
  '0c:22:80': ['parameter-not-supported', 'parameter not supported'],
};

const hex = (value: number): string => value.toString(16).padStart(2, '0');

function entry(code: number, netFn: number, command: number): Entry {
  const known = GENERIC[code] ?? SPECIFIC[`${hex(netFn & ~1)}:${hex(command)}:${hex(code)}`];
  if (known !== undefined) return known;
  if (code >= 0x01 && code <= 0x7e) return [`oem-${hex(code)}`, 'OEM-specific completion code'];
  if (code >= 0x80 && code <= 0xbe) return [`command-specific-${hex(code)}`, 'command-specific completion code'];
  return [`completion-${hex(code)}`, 'completion code not defined by the standard'];
}

/** Stable name of a completion code for this command (IPMI 2.0 table 5-2 and the command's own table). */
export function completionName(code: number, netFn: number, command: number): string {
  return entry(code, netFn, command)[0];
}

/** The standard's words for a completion code of this command. */
export function completionText(code: number, netFn: number, command: number): string {
  return entry(code, netFn, command)[1];
}
