// "Heavy work is done by others."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./support/child');

test('a task is given with its options, and every end of it has a code', async (t) => {
  const child = run(t, async (stead) => {
    const pool = stead.pool('resize');
    const options = { key: 'a', priority: 3, timeout: 500, onProgress: (done) => console.log('progress', done) };
    console.log(await pool.run('input', options));
    for (const input of [1, 2, 3]) await pool.run(input).catch(({ code, message }) => console.log(code, message));
  });
  const [{ task, ...words }, data] = await child.envelope();
  assert.deepEqual([words, data], [{ pool: 'resize', key: 'a', priority: 3, timeout: 500, progress: true }, 'input']);
  child.send({ task, state: 'progress' }, 0.5);
  child.send({ task, state: 'done' }, 'output');
  for (const [state, code] of [['failed', 'failed'], ['poison', 'poison'], ['refused', 'full']]) {
    const [{ task }] = await child.envelope();
    child.send({ task, state, error: { code, message: state } });
  }
  assert.equal(await child.said, 'progress 0.5\noutput\nfailed failed\npoison poison\nfull refused\n');
});

test('a signal cancels a task', async (t) => {
  const child = run(t, async (stead) => {
    const abort = new AbortController();
    const name = (error) => console.log(error.name);
    const running = stead.pool('resize').run(1, { signal: abort.signal }).catch(name);
    abort.abort();
    await running;
    await stead.pool('resize').run(2, { signal: abort.signal }).catch(name);
  });
  const [{ task }] = await child.envelope();
  assert.deepEqual(await child.envelope(), [{ pool: 'resize', cancel: task }, undefined]);
  assert.equal(await child.said, 'AbortError\nAbortError\n');
});

test('parts come one after the other, then the result', async (t) => {
  const child = run(t, async (stead) => {
    const parts = stead.pool('report').stream('input');
    for await (const part of parts) console.log(part);
    console.log(await parts.result);
    for await (const part of stead.pool('report').stream('again')) {
      console.log(part);
      break;
    }
    try {
      for await (const part of stead.pool('report').stream('bad')) console.log(part);
    } catch (error) {
      console.log(error.code);
    }
  });
  const [{ task, parts }] = await child.envelope();
  assert.equal(parts, true);
  child.send({ task, state: 'part', part: 1 }, 'one');
  child.send({ task, state: 'part', part: 2 }, 'two');
  child.send({ task, state: 'done' }, 'all');
  const [again] = await child.envelope();
  child.send({ task: again.task, state: 'part', part: 1 }, 'enough');
  assert.deepEqual(await child.envelope(), [{ pool: 'report', cancel: again.task }, undefined]);
  const [bad] = await child.envelope();
  child.send({ task: bad.task, state: 'failed', error: { message: 'no' } });
  assert.equal(await child.said, 'one\ntwo\nall\nenough\nfailed\n');
});
