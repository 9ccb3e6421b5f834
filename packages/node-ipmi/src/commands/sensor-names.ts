/** Sensor types by number (IPMI 2.0 table 42-3). */
const TYPES: readonly string[] = [
  'Reserved',
  'Temperature',
  'Voltage',
  'Current',
  'Fan',
  'Physical Security',
  'Platform Security',
  'Processor',
  'Power Supply',
  'Power Unit',
  'Cooling Device',
  'Other',
  'Memory',
  'Drive Slot / Bay',
  'POST Memory Resize',
  'System Firmware',
  'Event Logging Disabled',
  'Watchdog 1',
  'System Event',
  'Critical Interrupt',
  'Button / Switch',
  'Module / Board',
  'Microcontroller',
  'Add-in Card',
  'Chassis',
  'Chip Set',
  'Other FRU',
  'Cable / Interconnect',
  'Terminator',
  'System Boot Initiated',
  'Boot Error',
  'OS Boot',
  'OS Stop',
  'Slot / Connector',
  'System ACPI Power State',
  'Watchdog 2',
  'Platform Alert',
  'Entity Presence',
  'Monitor ASIC',
  'LAN',
  'Management Subsystem Health',
  'Battery',
  'Session Audit',
  'Version Change',
  'FRU State',
];

/** Units by number (IPMI 2.0 table 43-15), words divided by a bar. */
const UNITS: readonly string[] = (
  'unspecified|degrees C|degrees F|degrees K|Volts|Amps|Watts|Joules|Coulombs|VA|Nits|lumen|lux|Candela|kPa|PSI|Newton|CFM|RPM|Hz|' +
  'microsecond|millisecond|second|minute|hour|day|week|mil|inches|feet|cu in|cu feet|mm|cm|m|cu cm|cu m|liters|fluid ounce|' +
  'radians|steradians|revolutions|cycles|gravities|ounce|pound|ft-lb|oz-in|gauss|gilberts|henry|millihenry|farad|microfarad|' +
  'ohms|siemens|mole|becquerel|PPM|reserved|Decibels|DbA|DbC|gray|sievert|color temp deg K|bit|kilobit|megabit|gigabit|byte|' +
  'kilobyte|megabyte|gigabyte|word|dword|qword|line|hit|miss|retry|reset|overrun|underrun|collision|packets|messages|' +
  'characters|error|correctable error|uncorrectable error|fatal error|grams'
).split('|');

const RATES = [
  '',
  ' per microsecond',
  ' per millisecond',
  ' per s',
  ' per minute',
  ' per hour',
  ' per day',
  '',
] as const;

const hex = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;

/** Name of a sensor type; `OEM 0xc0` and the like for those that the standard leaves open. */
export function sensorTypeName(type: number): string {
  return TYPES[type] ?? `${type >= 0xc0 ? 'OEM' : 'type'} ${hex(type)}`;
}

/** Unit of a sensor's readings from the three unit bytes of its record (IPMI 2.0 43.1, bytes 21 to 23). */
export function unitName(flags: number, base: number, modifier: number): string {
  const name = (unit: number) => UNITS[unit] ?? `unit ${hex(unit)}`;
  const relation = (flags >> 1) & 3;
  const joined = relation === 1 ? '/' : relation === 2 ? ' * ' : '';
  const both = joined === '' ? name(base) : `${name(base)}${joined}${name(modifier)}`;
  return `${(flags & 1) === 1 ? '% ' : ''}${both}${RATES[(flags >> 3) & 7] ?? ''}`;
}
