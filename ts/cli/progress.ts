/** A progress bar on standard error, for people only. */
import { SingleBar } from 'cli-progress';

/** Shows how far a command is. */
export interface ProgressBar {
  at(done: number, total: number): void;
  /** Removes the bar. */
  end(): void;
}

/** A bar; nothing is shown unless a person can see it. */
export function progressBar(shown: boolean, what: string): ProgressBar {
  const bar = new SingleBar({
    format: `${what} [{bar}] {value}/{total}, {eta_formatted} to go`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  const live = shown && process.stderr.isTTY === true;
  return {
    at(done, total) {
      if (!live || total === 0) return;
      if (bar.isActive) bar.update(done);
      else bar.start(total, done);
    },
    end() {
      if (bar.isActive) bar.stop();
    },
  };
}
