/** How long a machine has been up, and how busy it was. */
export interface Uptime {
  readonly upSec: number;
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load: readonly number[];
}

/** As uptime(1) says it, in UTC: what nova's drivers answer, and what the `openstack` client takes apart. */
export function uptimeText({ upSec, load }: Uptime, wallMs: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(upSec / 60);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  const time = hours === 0 ? `${minutes % 60} min` : `${String(hours).padStart(2)}:${two(minutes % 60)}`;
  const up = days === 0 ? time : `${days} ${days === 1 ? 'day' : 'days'}, ${time}`;
  const now = new Date(wallMs).toISOString().slice(11, 19);
  return ` ${now} up ${up},  0 users,  load average: ${load.map((each) => each.toFixed(2)).join(', ')}`;
}
