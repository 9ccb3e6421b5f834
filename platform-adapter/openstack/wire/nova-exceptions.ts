import type { ErrorCode } from '../../../core/errors.ts';

interface ExceptionRow {
  readonly code: ErrorCode;
  /** nova's own text, with `%(name)s` for the keyword arguments. */
  readonly text: string;
  /** nova's `code`; 500 unless it says otherwise. */
  readonly status: number;
}

const row = (code: ErrorCode, status: number, text: string): ExceptionRow => ({ code, text, status });

/** Exceptions of `nova.exception` (26.2) that we raise or meet: our code, nova's status and text. */
export const novaExceptions = {
  AttachInterfaceNotSupported: row(
    'unsupported',
    400,
    'Attaching interfaces is not supported for instance %(instance_uuid)s.',
  ),
  BuildAbortException: row('internal', 500, 'Build of instance %(instance_uuid)s aborted: %(reason)s'),
  CannotResizeDisk: row('bad_state', 500, 'Server disk was unable to be resized because: %(reason)s'),
  CinderConnectionFailed: row('unavailable', 500, 'Connection to cinder host failed: %(reason)s'),
  ComputeHostNotFound: row('not_found', 404, 'Compute host %(host)s could not be found.'),
  ComputeResourcesUnavailable: row('exhausted', 400, 'Insufficient compute resources: %(reason)s.'),
  ConsoleNotAvailable: row('not_found', 404, 'Guest does not have a console available.'),
  ConsoleTypeInvalid: row('invalid', 400, 'Invalid console type %(console_type)s'),
  ConsoleTypeUnavailable: row('unsupported', 400, 'Unavailable console type %(console_type)s.'),
  DeviceDetachFailed: row('hardware', 500, 'Device detach failed for %(device)s: %(reason)s'),
  DeviceNotFound: row('not_found', 404, "Device '%(device)s' not found."),
  DevicePathInUse: row('conflict', 409, 'The supplied device path (%(path)s) is in use.'),
  DiskNotFound: row('not_found', 404, 'No disk at %(location)s'),
  FixedIpAlreadyInUse: row(
    'conflict',
    500,
    'Fixed IP address %(address)s is already in use on instance %(instance_uuid)s.',
  ),
  Forbidden: row('denied', 403, 'Forbidden'),
  GroupAffinityViolation: row('conflict', 500, '%(policy)s instance group policy was violated'),
  HypervisorUnavailable: row('unavailable', 500, 'Connection to the hypervisor is broken on host'),
  ImageNotActive: row('bad_state', 500, 'Image %(image_id)s is not active.'),
  ImageNotFound: row('not_found', 404, 'Image %(image_id)s could not be found.'),
  ImageUnacceptable: row('invalid', 400, 'Image %(image_id)s is unacceptable: %(reason)s'),
  InstanceActionEventNotFound: row('not_found', 500, 'Event %(event)s not found for action id %(action_id)s'),
  InstanceActionNotFound: row(
    'not_found',
    500,
    'Action for request_id %(request_id)s on instance %(instance_uuid)s not found',
  ),
  InstanceDeployFailure: row('internal', 400, 'Failed to deploy instance: %(reason)s'),
  InstanceEvacuateNotSupported: row('unsupported', 400, 'Instance evacuate is not supported.'),
  InstanceExists: row('conflict', 500, 'Instance %(name)s already exists.'),
  InstanceGroupNotFound: row('not_found', 404, 'Instance group %(group_uuid)s could not be found.'),
  InstanceInfoCacheNotFound: row('not_found', 404, 'Info cache for instance %(instance_uuid)s could not be found.'),
  InstanceInvalidState: row(
    'bad_state',
    400,
    'Instance %(instance_uuid)s in %(attr)s %(state)s. Cannot %(method)s while the instance is in this state.',
  ),
  InstanceNotFound: row('not_found', 404, 'Instance %(instance_id)s could not be found.'),
  InstanceNotReady: row('bad_state', 400, 'Instance %(instance_id)s is not ready'),
  InstanceNotRescuable: row('bad_state', 400, 'Instance %(instance_id)s cannot be rescued: %(reason)s'),
  InstanceNotRunning: row('bad_state', 400, 'Instance %(instance_id)s is not running.'),
  InstancePasswordSetFailed: row('internal', 500, 'Failed to set admin password on %(instance)s because %(reason)s'),
  InstancePowerOffFailure: row('hardware', 400, 'Failed to power off instance: %(reason)s'),
  InstancePowerOnFailure: row('hardware', 400, 'Failed to power on instance: %(reason)s'),
  InstanceQuiesceNotSupported: row('unsupported', 400, 'Quiescing is not supported in instance %(instance_id)s'),
  InstanceRebootFailure: row('hardware', 400, 'Failed to reboot instance: %(reason)s'),
  InstanceResumeFailure: row('hardware', 400, 'Failed to resume instance: %(reason)s'),
  InstanceSuspendFailure: row('hardware', 400, 'Failed to suspend instance: %(reason)s'),
  InstanceUnRescueFailure: row('hardware', 500, 'Failed to unrescue instance: %(reason)s'),
  InterfaceAttachFailed: row('hardware', 500, 'Failed to attach network adapter device to %(instance_uuid)s'),
  InterfaceAttachFailedNoNetwork: row(
    'invalid',
    400,
    "No specific network was requested and none are available for project '%(project_id)s'.",
  ),
  InterfaceDetachFailed: row('hardware', 400, 'Failed to detach network adapter device from %(instance_uuid)s'),
  Invalid: row('invalid', 400, 'Bad Request - Invalid Parameters'),
  InvalidBDM: row('invalid', 400, 'Block Device Mapping is Invalid.'),
  InvalidInput: row('invalid', 400, 'Invalid input received: %(reason)s'),
  InvalidToken: row('denied', 400, 'The console token is invalid or has expired'),
  InvalidVolume: row('invalid', 400, 'Invalid volume: %(reason)s'),
  MigrationError: row('internal', 500, 'Migration error: %(reason)s'),
  MigrationNotFound: row('not_found', 404, 'Migration %(migration_id)s could not be found.'),
  MigrationPreCheckError: row('unsupported', 500, 'Migration pre-check error: %(reason)s'),
  MultiattachNotSupportedByVirtDriver: row(
    'unsupported',
    400,
    "Volume %(volume_id)s has 'multiattach' set, which is not supported for this instance.",
  ),
  NetworkAmbiguous: row(
    'invalid',
    400,
    'More than one possible network found. Specify network ID(s) to select which one(s) to connect to.',
  ),
  NetworkInterfaceTaggedAttachNotSupported: row(
    'unsupported',
    400,
    'Tagged network interface attachment is not supported for this server instance.',
  ),
  NetworkNotFound: row('not_found', 404, 'Network %(network_id)s could not be found.'),
  NoMoreFixedIps: row('exhausted', 500, 'No fixed IP addresses available for network: %(net)s'),
  NotFound: row('not_found', 404, 'Resource could not be found.'),
  NotSupported: row('unsupported', 400, 'Bad Request - Feature is not supported in Nova'),
  NovaException: row('internal', 500, 'An unknown exception occurred.'),
  PortBindingFailed: row(
    'invalid',
    400,
    'Binding failed for port %(port_id)s, please check neutron logs for more information.',
  ),
  PortInUse: row('conflict', 400, 'Port %(port_id)s is still in use.'),
  PortNotFound: row('not_found', 404, 'Port id %(port_id)s could not be found.'),
  PortNotUsable: row('denied', 400, 'Port %(port_id)s not usable for instance %(instance)s.'),
  PortUpdateFailed: row('internal', 400, 'Port update failed for port %(port_id)s: %(reason)s'),
  PreserveEphemeralNotSupported: row(
    'unsupported',
    400,
    'The current driver does not support preserving ephemeral partitions.',
  ),
  RescheduledException: row('internal', 500, 'Build of instance %(instance_uuid)s was re-scheduled: %(reason)s'),
  ResizeError: row('internal', 500, 'Resize error: %(reason)s'),
  ServiceBinaryExists: row('conflict', 500, 'Service with host %(host)s binary %(binary)s exists.'),
  ServiceNotFound: row('not_found', 404, 'Service %(service_id)s could not be found.'),
  ServiceTooOld: row(
    'unsupported',
    400,
    'This service is older (v%(thisver)s) than the minimum (v%(minver)s) version of the rest of the deployment.',
  ),
  ServiceUnavailable: row('unavailable', 400, 'Service is unavailable at this time.'),
  SetAdminPasswdNotSupported: row('unsupported', 400, 'Set admin password is not supported'),
  SnapshotNotFound: row('not_found', 404, 'Snapshot %(snapshot_id)s could not be found.'),
  TooManyDiskDevices: row(
    'exhausted',
    403,
    'The maximum allowed number of disk devices (%(maximum)s) to attach to a single instance has been exceeded.',
  ),
  UnableToMigrateToSelf: row(
    'invalid',
    400,
    'Unable to migrate instance (%(instance_id)s) to current host (%(host)s).',
  ),
  UnexpectedDeletingTaskStateError: row('conflict', 500, 'The instance is being deleted.'),
  UnexpectedTaskStateError: row('conflict', 500, "The instance's task state is another than expected."),
  UnshelveException: row('internal', 500, 'Error during unshelve instance %(instance_id)s: %(reason)s'),
  VirtualInterfaceCreateException: row('hardware', 500, 'Virtual Interface creation failed'),
  VirtualInterfacePlugException: row('hardware', 500, 'Virtual interface plugin failed'),
  VolumeAttachFailed: row('hardware', 400, 'Volume %(volume_id)s could not be attached. Reason: %(reason)s'),
  VolumeAttachmentNotFound: row('not_found', 404, 'Volume attachment %(attachment_id)s could not be found.'),
  VolumeBDMNotFound: row('not_found', 404, 'No volume Block Device Mapping with id %(volume_id)s.'),
  VolumeExtendFailed: row('hardware', 400, 'Volume %(volume_id)s could not be extended. Reason: %(reason)s'),
  VolumeNotFound: row('not_found', 404, 'Volume %(volume_id)s could not be found.'),
  VolumeTaggedAttachNotSupported: row(
    'unsupported',
    400,
    'Tagged volume attachment is not supported for this server instance.',
  ),
} as const satisfies Readonly<Record<string, ExceptionRow>>;

/** A class of the table. */
export type NovaClass = keyof typeof novaExceptions;

/** The class's text with its arguments in place, as nova words it. */
export function novaText(name: NovaClass, kwargs: Readonly<Record<string, unknown>>): string {
  return novaExceptions[name].text.replaceAll(/%\((\w+)\)s/g, (_, key: string) => String(kwargs[key] ?? ''));
}
