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
