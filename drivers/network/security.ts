import { DpuError } from '../../core/errors.ts';

/** What a port lets pass as a new connection; answers to it pass by its connection's state. As Neutron's security group rules. */
export interface SecurityRule {
  /** From the instance's point of view: `ingress` is towards it. */
  readonly direction: 'ingress' | 'egress';
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'any';
  /** Of the destination; tcp and udp only. */
  readonly ports?: { readonly first: number; readonly last: number };
  /** IPv4 prefix of the other side, `10.0.0.0/24`. */
  readonly remote?: string;
}

const ipv4Prefix = /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/;

/** Refuses what no flow can be made of. @throws DpuError `invalid` that names the field. */
export function checkRule(rule: SecurityRule, field: string): void {
  const { protocol, ports, remote } = rule;
  if (ports !== undefined) {
    if (protocol !== 'tcp' && protocol !== 'udp') {
      throw new DpuError('invalid', `${field}.ports go with tcp and udp only`, { field: `${field}.ports` });
    }
    const whole = [ports.first, ports.last].every((each) => Number.isInteger(each) && each >= 0 && each <= 65_535);
    if (!whole || ports.first > ports.last) {
      throw new DpuError('invalid', `${field}.ports is not a range of ports`, { field: `${field}.ports` });
    }
  }
  if (remote !== undefined && !ipv4Prefix.test(remote)) {
    throw new DpuError('invalid', `${field}.remote is not an IPv4 prefix`, { field: `${field}.remote` });
  }
}

/** The matches (ovs-fields(7)) of packets that a rule lets pass; several where a range of ports needs several masks. */
export function matchesOf(rule: SecurityRule): readonly string[] {
  const protocol = { tcp: 'tcp', udp: 'udp', icmp: 'icmp', any: 'ip' }[rule.protocol];
  const side = rule.direction === 'ingress' ? 'nw_src' : 'nw_dst';
  const base = rule.remote === undefined ? protocol : `${protocol},${side}=${rule.remote}`;
  if (rule.ports === undefined) return [base];
  return portMasks(rule.ports.first, rule.ports.last).map((mask) => `${base},tp_dst=${mask}`);
}

/** A range of ports as values with masks, the fewest that cover it. */
export function portMasks(first: number, last: number): readonly string[] {
  const masks: string[] = [];
  for (let from = first; from <= last; ) {
    let size = 1;
    while (from % (size * 2) === 0 && from + size * 2 - 1 <= last) size *= 2;
    masks.push(`0x${from.toString(16)}/0x${(0x10000 - size).toString(16)}`);
    from += size;
  }
  return masks;
}
