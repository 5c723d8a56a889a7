/**
 * The picture of a benchmark: `docs/images/benchmark.svg`, drawn by `npm run bench` from its results.
 *
 *   node bench/chart.mjs [results.json]     draws it again
 */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const PICTURE = join(here, '..', 'docs', 'images', 'benchmark.svg');

const WIDTH = 860;
const LEFT = 320;
const RIGHT = 130;
const ROW = 26;
const BAR = 16;
const TITLE = 40;
const GAP = 14;

/** Colours of both modes; the background is drawn too, so that it fits any page. */
const STYLE = `
    .page { fill: #f8fafc; }
    .title { fill: #0f172a; font-weight: 600; }
    .text { fill: #334155; font-size: 13px; }
    .small { fill: #64748b; font-size: 12px; }
    .bare { fill: #94a3b8; }
    .ours { fill: #6366f1; }
    .spread { stroke: #0f172a; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f172a; }
      .title { fill: #f1f5f9; }
      .text { fill: #cbd5e1; }
      .small { fill: #94a3b8; }
      .bare { fill: #64748b; }
      .ours { fill: #818cf8; }
      .spread { stroke: #f1f5f9; }
    }`;

/** What is drawn: one group of bars per question, a pair of bars per size. */
const GROUPS = [
  {
    title: 'One resume at a time: ms until it is on disk (less is better)',
    bars: [
      { name: 'SQLite alone', kind: 'bare', field: 'bareSingleMs' },
      { name: 'resumeHook', kind: 'ours', field: 'resumeSingleMs' },
    ],
    write: (ms) => `${ms.toFixed(2)} ms`,
  },
  {
    title: '128 resumes in flight: how many per second (more is better)',
    bars: [
      { name: 'SQLite alone, 64 per commit', kind: 'bare', field: 'bareBatchPerSecond' },
      { name: 'resumeHook', kind: 'ours', field: 'resumeManyPerSecond' },
    ],
    write: (rate) => `${count(Math.round(rate / 100) * 100)} /s`,
  },
  {
    title: 'Looking a hook up by its token: ms (less is better)',
    bars: [{ name: 'getHookByToken', kind: 'ours', field: 'lookUpMs' }],
    write: (ms) => `${ms.toFixed(3)} ms`,
  },
];

/** The picture of some results, as SVG. */
export function chart(results) {
  const parts = [];
  let top = 16;
  for (const group of GROUPS) {
    parts.push(groupOf(group, results.measured, top));
    top += TITLE + rowsOf(group, results.measured).length * ROW + GAP;
  }
  const { machine, at, options } = results;
  const lines = [
    'Bars are medians of the rounds, lines the least and the greatest. Every transaction is synced to the disk.',
    `${machine.processors} processors (${machine.model}), Node ${machine.node.replace('v', '')}, ${options.rounds} rounds, ${at.slice(0, 10)}: npm run bench`,
  ];
  lines.forEach((line, number) => {
    parts.push(
      `  <text class="small" x="24" y="${top + 18 + number * 18}">${escaped(line)}</text>`,
    );
  });
  const height = top + 18 * lines.length + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="resumeHook beside the same transaction in SQLite alone">
  <style>${STYLE}
  </style>
  <rect class="page" width="${WIDTH}" height="${height}"/>
${parts.join('\n')}
</svg>
`;
}

/** One row per size and bar. */
function rowsOf({ bars }, measured) {
  return Object.entries(measured).flatMap(([size, values]) =>
    bars.map((bar) => ({ ...bar, size: Number(size), ...values[bar.field] })),
  );
}

function groupOf(group, measured, top) {
  const rows = rowsOf(group, measured);
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(...rows.map(({ max }) => max));
  const drawn = rows.map((row, number) => {
    const y = top + TITLE + number * ROW;
    const middle = y + BAR / 2;
    const x = (value) => (LEFT + value * scale).toFixed(1);
    const label = number % group.bars.length === 0 ? `${count(row.size)} hooks` : '';
    return `  <text class="small" x="24" y="${middle + 4}">${label}</text>
  <text class="text" x="${LEFT - 10}" y="${middle + 4}" text-anchor="end">${escaped(row.name)}</text>
  <rect class="${row.kind}" x="${LEFT}" y="${y}" width="${(row.median * scale).toFixed(1)}" height="${BAR}" rx="2"/>
  <path class="spread" d="M${x(row.min)} ${middle}H${x(row.max)}"/>
  <text class="text" x="${(LEFT + row.max * scale + 10).toFixed(1)}" y="${middle + 4}">${group.write(row.median)}</text>`;
  });
  return `  <text class="title" x="24" y="${top + 22}">${group.title}</text>\n${drawn.join('\n')}`;
}

function count(number) {
  return number.toLocaleString('en');
}

function escaped(text) {
  return text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Draws the picture of the guides from some results. */
export async function draw(results) {
  await writeFile(PICTURE, chart(results));
  return relative(join(here, '..'), PICTURE);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = process.argv[2] ?? join(here, 'results', 'latest.json');
  console.error(`drawn: ${await draw(JSON.parse(await readFile(file, 'utf8')))}`);
}
