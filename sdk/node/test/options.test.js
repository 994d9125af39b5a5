// "What I say wrongly about a task is told at once, with its name."
const assert = require('node:assert/strict');
const test = require('node:test');
const stead = require('../index');

test('an option that is none is refused before anything is sent', async () => {
  for (const [options, message] of [
    [{ priority: 'high' }, "`priority` is a whole number, and not 'high'"],
    [{ timeout: '10s' }, "`timeout` is a number of milliseconds above 0, and not '10s'"],
    [{ timeout: 0 }, '`timeout` is a number of milliseconds above 0, and not 0'],
    [{ retries: -1 }, '`retries` is a number from 0, and not -1'],
    [{ key: 7 }, '`key` is a text, and not 7'],
    [{ durable: 'no' }, "`durable` is true or false, and not 'no'"],
  ]) {
    await assert.rejects(stead.pool('resize').run(1, options), { name: 'TypeError', message });
  }
  assert.throws(() => stead.pool(), { name: 'TypeError', message: 'a pool has a name, and not undefined' });
});

test('what is no data is no input', async () => {
  for (const input of [() => 1, Symbol('a')]) {
    await assert.rejects(stead.pool('resize').run(input), { name: 'SteadError', code: 'bad_message' });
  }
});

test('outside of Stead every task fails with a code', async () => {
  await assert.rejects(stead.pool('resize').run(1), { name: 'SteadError', code: 'outside' });
  const parts = stead.pool('resize').stream(1);
  parts.result.catch(() => undefined);
  await assert.rejects(parts.next(), { code: 'outside' });
});
