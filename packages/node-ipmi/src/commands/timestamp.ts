/** Times below are seconds since the BMC's start and no date (IPMI 2.0 37). */
const FIRST_DATE = 0x2000_0000;

/** A timestamp as a date; undefined when it is unset, or when the BMC had no clock then (IPMI 2.0 37). */
export function dateOf(seconds: number): Date | undefined {
  return seconds <= FIRST_DATE || seconds === 0xffff_ffff ? undefined : new Date(seconds * 1000);
}
