/**
 * The pictures of a benchmark, drawn from its results.
 *
 *   node bench/chart.mjs     draws them again, from the results that are there
 */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WORLD_POSTGRES_VERSION } from './world-postgres.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');

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
    .others { fill: #94a3b8; }
    .ours { fill: #6366f1; }
    .spread { stroke: #0f172a; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f172a; }
      .title { fill: #f1f5f9; }
      .text { fill: #cbd5e1; }
      .small { fill: #94a3b8; }
      .others { fill: #64748b; }
      .ours { fill: #818cf8; }
      .spread { stroke: #f1f5f9; }
    }`;

const milliseconds = (ms) => `${ms.toFixed(ms < 10 ? 2 : 0)} ms`;

/** The bars of one value of each World. */
const ofWorlds = (field) => [
  { name: 'Hookline', kind: 'ours', world: 'hookline', field },
  { name: 'Postgres World', kind: 'others', world: 'world-postgres', field },
  { name: 'local World (syncs nothing)', kind: 'others', world: 'world-local', field },
];

/** One resume, beside the SDK's own Worlds. */
const WORLDS = {
  file: join(root, 'docs', 'images', 'benchmark.svg'),
  label: 'One resume with Hookline, the Postgres World and the local World of the Workflow SDK',
  of: 'parked runs',
  groups: [
    {
      title: 'resumeHook() until it resolves (less is better)',
      bars: ofWorlds('acknowledgedMs'),
      write: milliseconds,
    },
    {
      title: 'resumeHook() until the next step of the workflow begins (less is better)',
      bars: ofWorlds('toStepMs'),
      write: milliseconds,
    },
  ],
  notes: [
    `Each World with its defaults, on one machine: Hookline and Postgres (world-postgres ${WORLD_POSTGRES_VERSION}) sync each commit to the disk.`,
  ],
};

/** Hookline beside the same transaction in SQLite alone: its share of the limit. */
const BARE = {
  file: join(here, 'bare.svg'),
  label: 'resumeHook beside the same transaction in SQLite alone',
  of: 'hooks',
  groups: [
    {
      title: 'One resume at a time: ms until it is on disk (less is better)',
      bars: [
        { name: 'SQLite alone', kind: 'others', field: 'bareSingleMs' },
        { name: 'resumeHook', kind: 'ours', field: 'resumeSingleMs' },
      ],
      write: milliseconds,
    },
    {
      title: '128 resumes in flight: how many per second (more is better)',
      bars: [
        { name: 'SQLite alone, 64 per commit', kind: 'others', field: 'bareBatchPerSecond' },
        { name: 'resumeHook', kind: 'ours', field: 'resumeManyPerSecond' },
      ],
      write: (rate) => `${count(Math.round(rate / 100) * 100)} /s`,
    },
    {
      title: 'Looking a hook up by its token: ms (less is better)',
      bars: [{ name: 'getHookByToken', kind: 'ours', field: 'lookUpMs' }],
      write: (ms) => `${ms.toFixed(3)} ms`,
    },
  ],
  notes: ['Every transaction is synced to the disk.'],
};

/** A picture of some results, as SVG. */
function chart({ label, groups, notes, of }, { machine, at, rounds, measured }) {
  const parts = [];
  let top = 16;
  for (const group of groups) {
    const rows = rowsOf(group, measured, of);
    parts.push(groupOf(group, rows, top));
    top += TITLE + rows.length * ROW + GAP;
  }
  const lines = [
    ...notes,
    'Bars are medians of the rounds, lines the least and the greatest.',
    `${machine.processors} processors (${machine.model}), Node ${machine.node.replace('v', '')}, ${rounds} rounds, ${at.slice(0, 10)}: npm run bench`,
  ];
  lines.forEach((line, number) => {
    parts.push(
      `  <text class="small" x="24" y="${top + 18 + number * 18}">${escaped(line)}</text>`,
    );
  });
  const height = top + 18 * lines.length + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="${label}">
  <style>${STYLE}
  </style>
  <rect class="page" width="${WIDTH}" height="${height}"/>
${parts.join('\n')}
</svg>
`;
}

/** One row per size and bar, the first of a size with its label; a World may be missing. */
function rowsOf({ bars }, measured, of) {
  return Object.entries(measured).flatMap(([size, values]) => {
    const rows = bars.flatMap((bar) => {
      const value = (bar.world ? values[bar.world] : values)?.[bar.field];
      return value ? [{ ...bar, ...value, label: '' }] : [];
    });
    if (rows[0]) rows[0].label = `${count(Number(size))} ${of}`;
    return rows;
  });
}

function groupOf(group, rows, top) {
  const scale = (WIDTH - LEFT - RIGHT) / Math.max(...rows.map(({ max }) => max));
  const drawn = rows.map((row, number) => {
    const y = top + TITLE + number * ROW;
    const middle = y + BAR / 2;
    const x = (value) => (LEFT + value * scale).toFixed(1);
    return `  <text class="small" x="24" y="${middle + 4}">${row.label}</text>
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

async function draw(picture, results) {
  await writeFile(picture.file, chart(picture, results));
  return relative(root, picture.file);
}

/** Draws the picture of the README; returns its path. */
export const drawWorlds = (results) => draw(WORLDS, results);

/** Draws the picture of `bench/README.md`; returns its path. */
export const drawBare = (results) => draw(BARE, { ...results, rounds: results.options.rounds });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, drawn] of [
    ['worlds', drawWorlds],
    ['latest', drawBare],
  ]) {
    const text = await readFile(join(here, 'results', `${name}.json`), 'utf8').catch(() => '');
    if (text) console.error(`drawn: ${await drawn(JSON.parse(text))}`);
  }
}
