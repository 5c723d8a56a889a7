// The server as a child process, so that it can be killed for real.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Starts server.mjs on the demo's database; resolves when it listens. */
export async function startServer(folder, limitMs) {
  const child = spawn(process.execPath, [join(folder, 'server.mjs')], {
    cwd: folder,
    env: {
      ...process.env,
      WORKFLOW_TARGET_WORLD: 'hookline',
      // Nothing else is configured; these two only if your shell happens to set them.
      WORKFLOW_HOOKLINE_URL: undefined,
      PORT: undefined,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const gone = once(child, 'exit');
  const output = [];
  const url = await listening(child, output, gone, limitMs).catch((error) => {
    child.kill('SIGKILL');
    throw new Error(`the server did not start: ${error.message}\n${output.join('\n')}`);
  });
  const end = async (signal) => {
    child.kill(signal);
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
    const [, how] = await gone;
    clearTimeout(limit);
    if (how === 'SIGKILL' && signal !== how) throw new Error(`the server ignored ${signal}`);
  };
  return {
    url,
    pid: child.pid,
    call: (method, path, body) => call(url + path, method, body, limitMs),
    takeOutput: () => output.splice(0),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}

/** Collects the output of the server; resolves with its address once the server has printed it. */
async function listening(child, output, gone, limitMs) {
  const ready = new Promise((resolve, reject) => {
    const look = (line) => {
      const [, url] = /^listening on (\S+)$/.exec(line) ?? [];
      if (url) resolve(url);
      else output.push(line);
    };
    createInterface({ input: child.stdout }).on('line', look);
    createInterface({ input: child.stderr }).on('line', look);
    AbortSignal.timeout(limitMs).onabort = () => reject(new Error(`silent for ${limitMs} ms`));
    gone.then(([code, signal]) => reject(new Error(`it ended with ${signal ?? `code ${code}`}`)));
  });
  return await ready;
}

async function call(url, method, body, limitMs) {
  const response = await fetch(url, {
    method,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(limitMs),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : undefined };
}
