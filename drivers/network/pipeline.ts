/**
 * The flows of a bridge that is ours, as text for ovs-ofctl(8). Made anew from what the database says, never read back.
 *
 * Switching itself is left to NORMAL: it learns, and it knows of access and trunk ports and of tunnels.
 */

import type { QosSpec } from '../../core/ports/network-binder.ts';
import type { Mac } from '../../core/units.ts';
import type { Meter } from './openflow-tool.ts';
import { matchesOf, type SecurityRule } from './security.ts';

/** A port of an instance as its flows need it. */
export interface PipelinePort {
  readonly slot: number;
  readonly ofport: number;
  readonly mac: Mac;
  readonly ips: readonly string[];
  /** Carries VLANs of the instance's own. */
  readonly trunk: boolean;
  readonly qos: QosSpec | null;
  /** null: everything passes. */
  readonly rules: readonly SecurityRule[] | null;
  /** Where DHCP and metadata of the port are answered on this SoC. */
  readonly local: LocalService | null;
}

/** The port behind which a subnet's DHCP and metadata are answered. */
export interface LocalService {
  readonly ofport: number;
  readonly mac: string;
}

/** What a bridge shall have. */
export interface Pipeline {
  readonly flows: readonly string[];
  readonly meters: ReadonlyMap<number, Meter>;
}

/** Tables. A packet goes through them by rising number; an instruction has one meter at most, so each limit has its own. */
const table = {
  admit: 0,
  fromBits: 1,
  fromPackets: 2,
  local: 5,
  fromCt: 10,
  fromState: 11,
  toCt: 20,
  toState: 21,
  toBits: 30,
  toPackets: 31,
  forward: 40,
} as const;

/** Where a packet goes that nothing in its table is about. */
const next: ReadonlyMap<number, number> = new Map([
  [table.admit, table.fromBits],
  [table.fromBits, table.fromPackets],
  [table.fromPackets, table.local],
  [table.local, table.fromCt],
  [table.fromCt, table.toCt],
  [table.toCt, table.toBits],
  [table.toBits, table.toPackets],
  [table.toPackets, table.forward],
]);

/** The address that metadata is asked at. */
export const metadataAddress = '169.254.169.254';

/** The conntrack zone of a port: OVN gives out its own from 1 up. */
export function zoneOf(slot: number): number {
  return 0x8000 + slot;
}

/** Limits of a port as meters, under the tables that apply them. */
export function metersOf(slot: number, qos: QosSpec | null): ReadonlyMap<number, { id: number; meter: Meter }> {
  const meters = new Map<number, { id: number; meter: Meter }>();
  if (qos === null) return meters;
  const put = (at: number, offset: number, meter: Meter): void => {
    if (meter.rate > 0) meters.set(at, { id: slot * 4 + offset, meter });
  };
  const bits: Meter = { unit: 'kbps', ...withBurst(Math.round(qos.bitsPerSecond / 1000), leastBurst.kilobits) };
  const packets: Meter = { unit: 'pktps', ...withBurst(Math.round(qos.packetsPerSecond), leastBurst.packets) };
  if (qos.direction !== 'ingress') {
    put(table.fromBits, 0, bits);
    put(table.fromPackets, 1, packets);
  }
  if (qos.direction !== 'egress') {
    put(table.toBits, 2, bits);
    put(table.toPackets, 3, packets);
  }
  return meters;
}

/** A tenth of a second's worth may pass at once, and no less than this: TCP needs room for a window. */
const leastBurst = { kilobits: 256, packets: 32 } as const;

function withBurst(rate: number, least: number): { readonly rate: number; readonly burst: number } {
  return { rate, burst: Math.max(least, Math.round(rate / 10)) };
}

/** All flows and meters of a bridge with these ports. */
export function pipelineOf(ports: readonly PipelinePort[], options: { readonly antiSpoof: boolean }): Pipeline {
  const meters = new Map<number, Meter>();
  const flows = [
    ...[...next].map(([at, behind]) => flow(at, 0, '', go(behind))),
    flow(table.forward, 0, '', 'NORMAL'),
    flow(table.fromState, 0, '', 'drop'),
    flow(table.toState, 0, '', 'drop'),
  ];
  for (const port of ports) {
    if (options.antiSpoof) flows.push(...admission(port));
    for (const [at, { id, meter }] of metersOf(port.slot, port.qos)) {
      meters.set(id, meter);
      const side = at < table.local ? from(port) : to(port);
      flows.push(flow(at, 50, side, `meter:${id},${go(next.get(at) ?? table.forward)}`));
    }
    if (port.local) flows.push(...localServices(port, port.local));
    if (port.rules) flows.push(...security(port, port.rules));
  }
  return { flows: [...new Set(flows)], meters };
}

function flow(at: number, priority: number, match: string, actions: string): string {
  return `table=${at},priority=${priority}${match === '' ? '' : `,${match}`},actions=${actions}`;
}

const go = (to: number): string => `goto_table:${to}`;
const from = (port: PipelinePort): string => `in_port=${port.ofport}`;
const to = (port: PipelinePort): string => `dl_dst=${port.mac}`;

/** An instance sends with its own MAC and addresses only; with the unspecified one while it asks for an address. */
function admission(port: PipelinePort): readonly string[] {
  const own = `${from(port)},dl_src=${port.mac}`;
  const v4 = port.ips.filter((each) => !each.includes(':'));
  const v6 = ['fe80::/10', '::', ...port.ips.filter((each) => each.includes(':'))];
  const pass =
    port.trunk || port.ips.length === 0
      ? [own]
      : [
          ...v4.flatMap((ip) => [`${own},ip,nw_src=${ip}`, `${own},arp,arp_spa=${ip},arp_sha=${port.mac}`]),
          `${own},arp,arp_spa=0.0.0.0,arp_sha=${port.mac}`,
          `${own},udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67`,
          ...v6.map((ip) => `${own},ipv6,ipv6_src=${ip}`),
        ];
  return [
    ...pass.map((match) => flow(table.admit, 110, match, go(table.fromBits))),
    flow(table.admit, 100, from(port), 'drop'),
  ];
}

/**
 * DHCP and metadata go to the SoC whomever they are addressed to, and with the port's own address only; the answers go to the port and
 * to nobody else, also while the switch has not learned where it is.
 */
function localServices(port: PipelinePort, { ofport, mac }: LocalService): readonly string[] {
  const hand = `mod_dl_dst:${mac},output:${ofport}`;
  const metadata = `${from(port)},ip,nw_dst=${metadataAddress}`;
  const answers = `in_port=${ofport}`;
  return [
    flow(table.local, 50, `${from(port)},udp,tp_src=68,tp_dst=67`, hand),
    flow(table.local, 50, `${from(port)},arp,arp_tpa=${metadataAddress}`, `output:${ofport}`),
    ...port.ips
      .filter((each) => !each.includes(':'))
      .map((ip) => flow(table.local, 50, `${metadata},nw_src=${ip}`, hand)),
    flow(table.local, 40, metadata, 'drop'),
    flow(table.local, 70, `${answers},dl_dst=${port.mac}`, `output:${port.ofport}`),
    flow(table.local, 65, `${answers},arp`, go(table.forward)),
    flow(table.local, 65, `${answers},udp,tp_src=67,dl_dst=ff:ff:ff:ff:ff:ff`, go(table.forward)),
    flow(table.local, 60, answers, 'drop'),
    flow(table.local, 30, `arp,dl_dst=${mac}`, go(table.fromCt)),
    flow(table.local, 20, `dl_dst=${mac}`, 'drop'),
  ];
}

/** New connections by the rules, everything else by the state that conntrack keeps in the port's own zone. */
function security(port: PipelinePort, rules: readonly SecurityRule[]): readonly string[] {
  const zone = zoneOf(port.slot);
  const side = (direction: SecurityRule['direction'], at: SecurityTables, end: string): readonly string[] => {
    const own = rules.filter((rule) => rule.direction === direction);
    // without a rule for what an instance sends, all of it passes
    const open = direction === 'egress' && own.length === 0;
    const matches = open ? ['ip', 'ipv6'] : own.flatMap(matchesOf);
    const track = `ct(table=${at.state},zone=${zone})`;
    const known = (flag: string): string =>
      flow(at.state, 60, `ct_state=${flag}-inv+trk,ct_zone=${zone},${end}`, go(at.behind));
    return [
      ...unfiltered.map((match) => flow(at.track, 60, `${match},${end}`, go(at.behind))),
      flow(at.track, 50, `ip,${end}`, track),
      flow(at.track, 50, `ipv6,${end}`, track),
      known('+est-rel'),
      known('+rel'),
      ...matches.map((match) =>
        flow(
          at.state,
          50,
          `ct_state=+new-inv+trk,ct_zone=${zone},${end},${match}`,
          `ct(commit,zone=${zone}),${go(at.behind)}`,
        ),
      ),
    ];
  };
  return [
    ...side('egress', { track: table.fromCt, state: table.fromState, behind: table.toCt }, from(port)),
    ...side('ingress', { track: table.toCt, state: table.toState, behind: table.toBits }, to(port)),
  ];
}

interface SecurityTables {
  readonly track: number;
  readonly state: number;
  readonly behind: number;
}

/** What a port can't live without: DHCP both ways, and finding its neighbours in IPv6. */
const unfiltered = ['udp,tp_src=68,tp_dst=67', 'udp,tp_src=67,tp_dst=68', 'icmp6,icmp_type=135', 'icmp6,icmp_type=136'];
