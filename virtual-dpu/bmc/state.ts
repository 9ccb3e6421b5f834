/** What the BMC remembers, in one file: the boot override, BIOS attributes, and how it plays. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type BootSettings, DEFAULT_BOOT } from './boot.ts';
import { type BmcRules, DEFAULT_RULES } from './rules.ts';

/** A BIOS attribute's value. */
export type BiosValue = string | number | boolean;

/** BIOS attributes by name. */
export type BiosAttributes = Readonly<Record<string, BiosValue>>;

/** What outlives the service. */
export interface BmcState {
  readonly boot: BootSettings;
  /** As the host's firmware has them, and those that differ after the next reset. */
  readonly bios: BiosAttributes;
  readonly biosPending: BiosAttributes;
  readonly indicator: 'Off' | 'Lit' | 'Blinking';
  readonly assetTag: string;
  readonly rules: BmcRules;
}

/** BIOS attributes of a host that nobody has touched. They are kept and have no effect. */
export const DEFAULT_BIOS: BiosAttributes = {
  BootMode: 'Legacy',
  SriovEnabled: true,
  OptionRoms: true,
  SlotPower: true,
  NumaNodes: 1,
};

/** Keeps the state; every change is on disk when `set` returns. */
export interface StateStore {
  get(): BmcState;
  set(change: Partial<BmcState>): void;
}

/** Opens the file, or begins with a fresh state where there is none. @throws what reading a broken file throws. */
export function openState(file: string): StateStore {
  let state: BmcState = {
    boot: DEFAULT_BOOT,
    bios: DEFAULT_BIOS,
    biosPending: {},
    indicator: 'Off',
    assetTag: '',
    rules: DEFAULT_RULES,
    ...read(file),
  };
  return {
    get: () => state,
    set(change) {
      state = { ...state, ...change };
      writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 1)}\n`, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

function read(file: string): Partial<BmcState> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Partial<BmcState>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}
