import { ENABLED, type Paths, type Snapshot, type TreeBuilder, V1 } from './model.ts';
import { SESSION_TIMEOUT_S } from './sessions.ts';
import { biosRegistry } from './system-tree.ts';

/** The service itself: root, manager, and the services for sessions, tasks and events. */
export function serviceResources({ add, collect }: TreeBuilder, paths: Paths, snapshot: Snapshot): void {
  const { facts, persona, sessions } = snapshot;
  const { manager } = paths;
  add(manager, 'Manager.v1_19_0.Manager', {
    Name: 'BMC',
    ManagerType: 'BMC',
    Manufacturer: persona.vendor,
    Model: persona.product,
    UUID: facts.uuid,
    FirmwareVersion: persona.firmware,
    PowerState: 'On',
    DateTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    DateTimeLocalOffset: '+00:00',
    SerialConsole: { ServiceEnabled: true, MaxConcurrentSessions: 1, ConnectTypesSupported: ['IPMI'] },
    // No medium can be inserted: the host has no drive for one.
    VirtualMedia: collect(`${manager}/VirtualMedia`, 'VirtualMedia', []),
    Status: ENABLED,
    Links: {
      ManagerForServers: [{ '@odata.id': paths.system }],
      ManagerForChassis: [{ '@odata.id': paths.chassis }],
    },
  });
  const opened = sessions.map(({ id, username, createdAt }) =>
    add(`${paths.sessions}/${id}`, 'Session.v1_7_0.Session', {
      UserName: username,
      CreatedTime: createdAt,
      SessionType: 'Redfish',
    }),
  );
  const sessionList = collect(paths.sessions, 'Session', opened);
  add(V1, 'ServiceRoot.v1_16_0.ServiceRoot', {
    Id: 'RootService',
    Name: 'Root Service',
    RedfishVersion: '1.20.0',
    UUID: facts.uuid,
    Vendor: persona.vendor,
    Product: persona.product,
    ProtocolFeaturesSupported: { FilterQuery: false, SelectQuery: false, OnlyMemberQuery: false, ExcerptQuery: false },
    Systems: collect(`${V1}/Systems`, 'ComputerSystem', [{ '@odata.id': paths.system }]),
    Chassis: collect(`${V1}/Chassis`, 'Chassis', [{ '@odata.id': paths.chassis }]),
    Managers: collect(`${V1}/Managers`, 'Manager', [{ '@odata.id': manager }]),
    Registries: biosRegistry({ add, collect }, snapshot),
    SessionService: add(`${V1}/SessionService`, 'SessionService.v1_1_9.SessionService', {
      ServiceEnabled: true,
      SessionTimeout: SESSION_TIMEOUT_S,
      Sessions: sessionList,
    }),
    Tasks: add(`${V1}/TaskService`, 'TaskService.v1_2_0.TaskService', {
      ServiceEnabled: true,
      Tasks: collect(`${V1}/TaskService/Tasks`, 'Task', []),
    }),
    EventService: add(`${V1}/EventService`, 'EventService.v1_10_0.EventService', {
      ServiceEnabled: true,
      ServerSentEventUri: paths.events,
      EventFormatTypes: ['Event'],
      Subscriptions: collect(`${V1}/EventService/Subscriptions`, 'EventDestination', []),
    }),
    Links: { Sessions: { '@odata.id': paths.sessions } },
  });
}
