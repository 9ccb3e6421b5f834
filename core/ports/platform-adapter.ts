/** A way in from a cloud platform. */
export interface PlatformAdapter {
  readonly name: string;
  /** Takes requests from now on; ends at once when the platform is away and goes on trying. */
  start(): Promise<void>;
  /** Takes no more requests, and ends when those in hand are answered or the time is over. */
  stop(drainMs: number): Promise<void>;
  /** Ends when the platform has been told how the node is now, and all that was reported before. Absent: nothing is told by itself. */
  flush?(signal: AbortSignal): Promise<void>;
  /** Whether the platform can be reached now. */
  connected(): boolean;
  /** Why the platform does not take the node, as far as the last try said; null where nothing keeps it out. */
  trouble?(): string | null;
}
