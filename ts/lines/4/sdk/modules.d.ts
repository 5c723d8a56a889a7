/** Modules of the SDK that its package does not export; the build resolves them by path. */
declare module '@workflow/core/version' {
  /** The SDK's version. */
  export const version: string;
}

declare module '@workflow/core/capabilities' {
  /** What a run's version of the SDK can decode. */
  export function getRunCapabilities(workflowCoreVersion: string | undefined): {
    supportedFormats: ReadonlySet<string>;
    framedByteStreams: boolean;
  };
}

declare module '@workflow/core/flushable-stream' {
  /** The state of a pipe; `ops` hold its `promise`. */
  export interface FlushableState {
    promise: Promise<void>;
  }
  export function createFlushableState(): FlushableState;
  /** Moves everything from a source to a sink; rejects when either fails. */
  export function flushablePipe<T>(
    source: ReadableStream<T>,
    sink: WritableStream<T>,
    state: FlushableState,
  ): Promise<void>;
  export function pollReadableLock(readable: ReadableStream, state: FlushableState): void;
  export function pollWritableLock(writable: WritableStream, state: FlushableState): void;
}
