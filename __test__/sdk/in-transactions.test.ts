/**
 * The functions of the schema, called in SQL: what arrives in workflows of both lines of the SDK, on
 * another host.
 */
import { databaseIn, isOnPostgres, queryPostgres } from '../databases';
import { type App, cleanUp, freshData, SDKS, type Sdk, startApp } from './harness';

const VALUES: unknown[] = [
  null,
  true,
  -1.5,
  1e21,
  'é"\\\n\u0001',
  [],
  {},
  [[null], { a: [{}, 'x'] }],
  { approved: false, by: 'SQL', '': 0, constructor: 1, 'a b': [1, 1, 'x', 'x'] },
];

jest.setTimeout(120_000);
afterAll(cleanUp);

/** A text as SQL writes it. */
const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
const jsonb = (value: unknown) => `${quoted(JSON.stringify(value))}::jsonb`;

(isOnPostgres(databaseIn('any')) ? describe : describe.skip).each(SDKS)('with %s', (sdk: Sdk) => {
  let app: App;
  let database: string;
  const query = (sql: string) => queryPostgres(database, sql);

  beforeAll(async () => {
    const data = freshData();
    database = databaseIn(data);
    app = await startApp({ data, sdk });
  });

  test('a payload is the value that resumeHook sends', async () => {
    for (const [at, value] of VALUES.entries()) {
      const decisions: unknown[] = [];
      for (const via of ['SQL', 'hookline'] as const) {
        const token = `${via} ${at}`;
        const runId = await app.start('approval', token, 'subject');
        await app.hooksReady(token);
        const payload = { approved: true, by: 'me', value };
        if (via === 'hookline') await app.resume(via, token, payload);
        else expect(query(`SELECT resume_hook(${quoted(token)}, ${jsonb(payload)})`)).toBe(runId);
        decisions.push(await app.result(runId));
      }
      expect(decisions[0]).toEqual(decisions[1]);
      expect(decisions[0]).toMatchObject({ decision: { value } });
    }
  });

  test('arguments are the values that start sends, and the run is of the line and release of the worker', async () => {
    const byApi = await app.start('echo', ...VALUES);
    const [name, ...like] = query(
      `SELECT workflow_name, deployment_id, spec_version FROM runs WHERE run_id = ${quoted(byApi)}`,
    ).split('|');
    const bySql = query(`SELECT start(${quoted(name as string)}, ${jsonb(VALUES)})`);
    expect(
      query(`SELECT deployment_id, spec_version FROM runs WHERE run_id = ${quoted(bySql)}`),
    ).toBe(like.join('|'));
    expect(await app.result(bySql)).toEqual(await app.result(byApi));
    expect(await app.result(bySql)).toEqual(VALUES);
  });

  test('a resume and a start go with their transaction', async () => {
    const runId = await app.start('approval', 'order', 'subject');
    await app.hooksReady('order');
    const payload = jsonb({ approved: true, by: 'SQL' });
    query(`BEGIN; SELECT resume_hook('order', ${payload}); ROLLBACK`);
    expect(await app.eventTypes(runId)).not.toContain('hook_received');
    query(`CREATE TABLE orders (); BEGIN; INSERT INTO orders DEFAULT VALUES;
      SELECT resume_hook('order', ${payload}); COMMIT`);
    expect(await app.result(runId)).toMatchObject({ record: 'subject: approved by SQL' });
  });

  test('a key that was used in SQL repeats there, with the same payload only', async () => {
    const runId = await app.start('approval', 'keyed', 'subject');
    await app.hooksReady('keyed');
    const resume = (by: string) =>
      query(`SELECT resume_hook('keyed', ${jsonb({ approved: true, by })}, 'key')`);
    expect(resume('SQL')).toBe(runId);
    await app.result(runId);
    expect(resume('SQL')).toBe(runId);
    expect(() => resume('another')).toThrow(/another payload/);
  });
});
