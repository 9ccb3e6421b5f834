import { adminPassword } from './admin-password.ts';
import { build } from './build.ts';
import { confirmWindow } from './confirm-window.ts';
import { evacuated } from './evacuated.ts';
import type { FlowDefinition } from './flow.ts';
import { interfaceFlows } from './interfaces.ts';
import { networkChanged } from './network-changed.ts';
import { powerFlows } from './power.ts';
import { powerSync } from './power-sync.ts';
import { reaped } from './reaped.ts';
import { rebuildFlows } from './rebuild.ts';
import { refusedFlows } from './refuse.ts';
import { rescueFlows } from './rescue.ts';
import { resizeFlows } from './resize.ts';
import { resizeFinishFlows } from './resize-finish.ts';
import { shelveFlows } from './shelve.ts';
import { terminate } from './terminate.ts';
import { volumeFlows } from './volume-attach.ts';

/**
 * nova's method -> its flow. What a node can do stands after what is refused and takes its place. Methods that nova does not have are our own
 * (`network_changed`, `vif_deleted`, `volume_extended`, `power_sync`, `evacuated`, `confirm_window`, `reaped`): they come of what the node sees and hears.
 */
export const flowTable: Readonly<Record<string, FlowDefinition>> = {
  ...refusedFlows,
  ...powerFlows,
  ...interfaceFlows,
  ...volumeFlows,
  ...rebuildFlows,
  ...shelveFlows,
  ...rescueFlows,
  ...resizeFlows,
  ...resizeFinishFlows,
  build_and_run_instance: build,
  terminate_instance: terminate,
  set_admin_password: adminPassword,
  network_changed: networkChanged,
  evacuated,
  confirm_window: confirmWindow,
  reaped,
  power_sync: powerSync,
};

/** Flows that nobody may ask for over RPC. */
export const innerFlows: ReadonlySet<string> = new Set([
  'network_changed',
  'vif_deleted',
  'volume_extended',
  'power_sync',
  'evacuated',
  'confirm_window',
  'reaped',
]);
