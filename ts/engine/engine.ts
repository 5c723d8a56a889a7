/** The engine of one World object, as the rooms above know it; `create-engine.ts` makes it. */
import type { NativeWorld } from '../native/binding';
import type { NativeConfig } from './config';
import type { Place } from './place';

/** The part that all other parts of a World share. Its functions work without their object. */
export interface Engine {
  /**
   * The configuration, read from options and environment at the first call.
   *
   * @throws WorkflowWorldError with code `BAD_CONFIG` for bad options.
   */
  config(): NativeConfig;
  /** Equal for Worlds of this process that use the same database; never throws. */
  key(): string;
  /** Opens the addon, and makes the database. After a failed opening, the next call tries again. */
  connect(): Promise<NativeWorld>;
  /** Opens the addon for reads. If there is no database, the reads go to an empty one in memory. */
  look(): Promise<NativeWorld>;
  /**
   * Waits until any process has made the database, and opens the addon; `undefined` when `signal`
   * aborts.
   */
  appearance(signal?: AbortSignal): Promise<NativeWorld | undefined>;
  /** Whether there is no database, as far as this World knows. */
  isAbsent(): boolean;
  /** Where the database is, or will be made; `undefined` for memory. Opens nothing. */
  place(): Place | undefined;
  /** Opens, and begins to deliver messages to this process's handlers. */
  start(): Promise<void>;
  /** Whether a World of this process with this engine's database has been started. */
  isStarted(): boolean;
  /**
   * Ends the use of the database by this World object; it may be called twice, or before opening.
   */
  close(): Promise<void>;
  /** Closes without waiting; nothing of it runs in JavaScript later. */
  abandon(): void;
}
