'use client';

import { useEffect, useState } from 'react';
import type { Progress } from '@/workflows/approval';

/** In the zone of the reader, which the text names. */
const TIME = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});

/** How long a lost connection is left alone before it is made again. */
const RECONNECT_MS = 500;

/** The progress of a run, line by line as it happens; survives a restart of the server. */
export function ProgressList({ runId }: { runId: string }) {
  const [lines, setLines] = useState<Progress[]>([]);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    follow(runId, setLines, stop.signal).then((ended) => ended && setOver(true));
    return () => stop.abort();
  }, [runId]);
  return (
    <ol className="progress" data-over={isOver}>
      {lines.map(({ at, text }) => (
        <li key={at + text}>
          <time dateTime={at}>{TIME.format(new Date(at))}</time>
          <span>{text}</span>
        </li>
      ))}
      {!isOver && <li className="waiting">waiting …</li>}
    </ol>
  );
}

/** Reads until the stream ends, from its beginning each time; true when it has ended. */
async function follow(
  runId: string,
  show: (lines: Progress[]) => void,
  signal: AbortSignal,
): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const response = await fetch(`/api/runs/${runId}/progress`, { signal });
      if (response.ok && response.body) {
        await readLines(response.body, show);
        return true;
      }
    } catch {
      // The server is gone for the moment, or so is this page.
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
  return false;
}

async function readLines(body: ReadableStream<Uint8Array>, show: (lines: Progress[]) => void) {
  const reader = body.pipeThrough(new TextDecoderStream() as never).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    show(whole.filter((line) => line !== '').map((line) => JSON.parse(line) as Progress));
  }
}
