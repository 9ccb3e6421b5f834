/** Privilege levels of a session (IPMI 2.0 6.8, 22.18), lowest first. */
export type Privilege = 'callback' | 'user' | 'operator' | 'administrator';

/** The number of a level on the wire. */
export const PRIVILEGE: Readonly<Record<Privilege, number>> = { callback: 1, user: 2, operator: 3, administrator: 4 };
