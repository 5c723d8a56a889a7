// Plain output, with a little colour where the terminal has it and NO_COLOR does not forbid it.

const coloured = process.stdout.isTTY && !process.env.NO_COLOR;
const style = (code) => (text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);

export const dim = style(2);
const bold = style(1);
const green = style(32);
const red = style(31);

export function title(text) {
  console.log(`\n${bold(text)}\n`);
}

/** One line of the story; `began` adds how long it took. */
export function say(what, text, began) {
  const took = began === undefined ? '' : dim(`  ${formatMs(performance.now() - began)}`);
  console.log(`  ${green(what.padEnd(10))}${text}${took}`);
}

export function fail(error) {
  console.error(`\n  ${red('failed'.padEnd(10))}${error.message}\n`);
  process.exitCode = 1;
}

function formatMs(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
