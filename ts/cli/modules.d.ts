/** `cli-progress` has no types; these are the types of the used part. */
declare module 'cli-progress' {
  /** One progress bar. */
  export class SingleBar {
    readonly isActive: boolean;
    constructor(options: {
      format: string;
      stream: NodeJS.WriteStream;
      clearOnComplete: boolean;
      hideCursor: boolean;
    });
    start(total: number, value: number): void;
    update(value: number): void;
    stop(): void;
  }
}
