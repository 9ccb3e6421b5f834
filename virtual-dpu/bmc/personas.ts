/** Kinds of BMC that the service can play: how makers' Redfish services differ, as data. Field names and paths are those of the makers' own documentation. */

/** How a service differs from others where the standard leaves a choice, or is not kept to. */
export interface Persona {
  /** `Vendor` and `Product` of the service root, `Manufacturer` of system and manager. */
  readonly vendor: string;
  readonly product: string;
  /** Last part of the paths of the one system, chassis and manager. */
  readonly ids: { readonly system: string; readonly chassis: string; readonly manager: string };
  readonly firmware: string;
  readonly resetTypes: readonly string[];
  /** Where the reset types are published. */
  readonly resetTypesAt: 'inline' | 'action-info' | 'nowhere';
  /** The answer to `On` when it is on already, or `ForceOff` when it is off. */
  readonly whenThere: 'done' | 'conflict';
  readonly etags: 'strong' | 'weak' | 'none';
  /** 428 to a PATCH without If-Match. */
  readonly needIfMatch: boolean;
  readonly bootTargets: readonly string[];
  /** An override without BootSourceOverrideMode is answered as done, and dropped. */
  readonly bootModeRequired: boolean;
  /** Whether there are boot options, without which disks can't be told apart. */
  readonly bootOptions: boolean;
  /** Where the settings resource of the BIOS is, and whether the resource says so. */
  readonly biosSettings: { readonly name: string; readonly announced: boolean };
}

/** DSP0266 to the letter. */
const STANDARD: Persona = {
  vendor: 'VDPU',
  product: 'Virtual BMC',
  ids: { system: '1', chassis: '1', manager: '1' },
  firmware: '1.0.0',
  resetTypes: ['On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart', 'ForceRestart'],
  resetTypesAt: 'inline',
  whenThere: 'done',
  etags: 'strong',
  needIfMatch: false,
  bootTargets: ['None', 'Pxe', 'Hdd', 'UefiBootNext'],
  bootModeRequired: false,
  bootOptions: true,
  biosSettings: { name: 'Settings', announced: true },
};

/** Every persona there is. */
export const PERSONAS = {
  standard: STANDARD,
  dell: {
    ...STANDARD,
    vendor: 'Dell',
    product: 'Integrated Dell Remote Access Controller',
    ids: { system: 'System.Embedded.1', chassis: 'System.Embedded.1', manager: 'iDRAC.Embedded.1' },
    firmware: '7.10.30.00',
    resetTypes: [
      'On',
      'ForceOff',
      'ForceRestart',
      'GracefulRestart',
      'GracefulShutdown',
      'PushPowerButton',
      'PowerCycle',
    ],
    whenThere: 'conflict',
    bootTargets: ['None', 'Pxe', 'Cd', 'Hdd', 'BiosSetup', 'UefiBootNext'],
  },
  hpe: {
    ...STANDARD,
    vendor: 'HPE',
    product: 'ProLiant DL380 Gen11',
    firmware: 'iLO 6 v1.55',
    resetTypes: ['On', 'ForceOff', 'GracefulShutdown', 'ForceRestart', 'PushPowerButton', 'GracefulRestart'],
    etags: 'weak',
    bootTargets: ['None', 'Cd', 'Hdd', 'BiosSetup', 'Pxe', 'UefiBootNext'],
    biosSettings: { name: 'settings', announced: true },
  },
  lenovo: {
    ...STANDARD,
    vendor: 'Lenovo',
    product: 'ThinkSystem SR650 V3',
    firmware: '4.10',
    resetTypes: ['On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart', 'ForceRestart'],
    resetTypesAt: 'action-info',
    bootTargets: ['None', 'Pxe', 'Cd', 'Hdd', 'BiosSetup', 'UefiBootNext'],
    biosSettings: { name: 'Pending', announced: false },
  },
  supermicro: {
    ...STANDARD,
    vendor: 'Supermicro',
    product: 'SYS-121H-TNR',
    firmware: '01.03.16',
    resetTypes: ['On', 'ForceOff', 'GracefulShutdown', 'GracefulRestart', 'ForceRestart', 'PowerCycle'],
    etags: 'none',
    bootTargets: ['None', 'Pxe', 'Hdd', 'UsbCd', 'BiosSetup'],
    bootModeRequired: true,
    bootOptions: false,
    biosSettings: { name: 'SD', announced: true },
  },
  ami: {
    ...STANDARD,
    vendor: 'AMI',
    product: 'MegaRAC',
    ids: { system: 'Self', chassis: 'Self', manager: 'Self' },
    needIfMatch: true,
    resetTypesAt: 'nowhere',
    biosSettings: { name: 'SD', announced: false },
  },
} as const satisfies Readonly<Record<string, Persona>>;

/** Name of a persona. */
export type PersonaName = keyof typeof PERSONAS;
