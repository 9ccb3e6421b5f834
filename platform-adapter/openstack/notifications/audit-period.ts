/** A time that usage is told for, in milliseconds since 1970. */
export interface AuditPeriod {
  readonly beginMs: number;
  readonly endMs: number;
}

/** The period of nova's instance_usage_audit_period unless it is set. */
export const defaultAuditPeriod = 'month';

/**
 * The last period that is over (nova's last_completed_audit_period), all in UTC. `unit`: `hour`, `day`, `month` or `year`, and where it begins but at its
 * first: `day@18` at 18 o'clock, `month@15` on the 15th, `year@3` in March, `hour@30` at half past.
 */
export function lastAuditPeriod(unit: string, nowMs: number): AuditPeriod {
  const [name = '', offsetText = ''] = unit.split('@');
  const offset = Number(offsetText);
  const begins = beginnings(name, offset, new Date(nowMs));
  // nova's periods end before now, not at it
  const current = begins(0) < nowMs ? 0 : -1;
  return { beginMs: begins(current - 1), endMs: begins(current) };
}

/** When the period begins that is so many from the one of `now`. */
function beginnings(name: string, offset: number, now: Date): (periods: number) => number {
  const [year, month, day, hour] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate(), now.getUTCHours()];
  switch (name) {
    case 'month':
      return (periods) => Date.UTC(year, month + periods, offset || 1);
    case 'year':
      return (periods) => Date.UTC(year + periods, (offset || 1) - 1, 1);
    case 'day':
      return (periods) => Date.UTC(year, month, day + periods, offset);
    default:
      return (periods) => Date.UTC(year, month, day, hour + periods, offset);
  }
}

/** The period that goes on now, as far as it has come: what nova tells of a server that is changed in it. */
export function currentAuditPeriod(unit: string, nowMs: number): AuditPeriod {
  return { beginMs: lastAuditPeriod(unit, nowMs).endMs, endMs: nowMs };
}
