// "All my workers have the same value, and one computes it."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./support/child');

test('a value is fetched, received, set and taken away', async (t) => {
  const child = run(t, async (stead) => {
    const users = stead.shared('users');
    users.on('change', (value, version) => process.send([value ?? null, version]));
    process.send([users === stead.shared('users'), users.version]);
    stead.once('set', async () => {
      process.send(await users.set(9, { ifVersion: 4 }).catch((error) => error.code));
      process.send(await users.set(9));
      await users.unset();
    });
  });
  const [{ id, ...words }] = await child.envelope();
  assert.deepEqual(words, { get: 'users' });
  assert.deepEqual(await child.next(), [true, 0]);
  child.send({ ack: id, version: 3 }, 7);
  assert.deepEqual(await child.next(), [7, 3]);
  child.send({ shared: 'others', version: 9 }, 'not asked for');
  child.send({ shared: 'users', version: 5 }, 8);
  child.send({ shared: 'users', version: 4 }, 'too late');
  assert.deepEqual(await child.next(), [8, 5]);

  child.send({ from: 'outside', topic: 'set' });
  const [compared, value] = await child.envelope();
  assert.deepEqual([compared.set, compared.if_version, value], ['users', 4, 9]);
  child.send({ ack: compared.id, error: { code: 'conflict', message: 'it is version 5' } });
  assert.equal(await child.next(), 'conflict');
  const [{ id: set }] = await child.envelope();
  child.send({ ack: set, version: 6 });
  assert.deepEqual(await child.next(), [9, 6]);
  assert.equal(await child.next(), 6);
  const [{ unset }] = await child.envelope();
  assert.equal(unset, 'users');
  child.send({ shared: 'users', version: 7, gone: true });
  assert.deepEqual(await child.next(), [null, 7]);
});

test('the leader computes, once per period, and goes on after a failure', async (t) => {
  const child = run(t, (stead) => {
    let count = 0;
    const compute = () => {
      if (++count === 2) throw new Error('the database is away');
      return count;
    };
    stead.shared('users').compute(compute, { every: 1 });
  });
  await child.envelope();
  assert.deepEqual(await child.envelope(), [{ candidate: true }, undefined]);
  child.send({ leader: true, term: 1 });
  const [first, one] = await child.envelope();
  assert.deepEqual([first.set, one], ['users', 1]);
  child.send({ ack: first.id, version: 1 });
  const [second, three] = await child.envelope();
  assert.equal(three, 3);
  child.send({ leader: false, term: 1, who: null });
  child.send({ ack: second.id, version: 2 });
  assert.deepEqual(await child.envelope(), [{ released: 1 }, undefined]);
  child.process.kill();
  assert.match(await child.complained, /failed to compute the shared value `users`: Error: the database is away/);
});

test('a value that was just set is not computed again by the next leader', async (t) => {
  const child = run(t, (stead) => {
    stead.shared('users').compute(() => process.send('computed'), { every: 60_000 });
    stead.leader(({ term }) => process.send({ term }));
  });
  const [{ id }] = await child.envelope();
  await child.envelope();
  child.send({ ack: id, version: 3 }, 7);
  child.send({ leader: true, term: 2 });
  assert.deepEqual(await child.next(), { term: 2 });
  child.send({ leader: false, term: 2, who: null });
  assert.deepEqual(await child.envelope(), [{ released: 2 }, undefined]);
});
