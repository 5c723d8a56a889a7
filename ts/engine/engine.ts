/** The engine of one World object, as the rooms above know it; `create-engine.ts` makes it. */
import type { NativeWorld } from '../native/binding';
import type { NativeConfig } from './config';
import type { Place } from './place';

/** What the parts of a World share; every function may be picked off the object. */
export interface Engine {
  /**
   * The configuration, read from options and environment at the first call.
   *
   * @throws WorkflowWorldError with code `BAD_CONFIG` for options that are none.
   */
  config(): NativeConfig;
  /** Equal for Worlds of this process that use the same database; never throws. */
  key(): string;
  /** The opened addon; a failed opening is tried again by the next call. Makes the database. */
  connect(): Promise<NativeWorld>;
  /** The opened addon for who only reads: where there is no database, over one that is empty. */
  look(): Promise<NativeWorld>;
  /** The opened addon once there is a database, made by whomever; `undefined` when told to stop. */
  appearance(signal?: AbortSignal): Promise<NativeWorld | undefined>;
  /** Whether there is no database, as far as this World knows. */
  isAbsent(): boolean;
  /** Where the database lies, or will; `undefined` for memory. Opens nothing. */
  place(): Place | undefined;
  /** Opens, and begins to deliver messages to this process's handlers. */
  start(): Promise<void>;
  /** Ends the use of the database by this World object; may be called twice, or unopened. */
  close(): Promise<void>;
  /** The same, by somebody who does not wait: nothing of it runs here later. */
  abandon(): void;
}
