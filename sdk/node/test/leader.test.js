// "One of my workers does it, and never two."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./support/child');

test('a task runs while the role is held, and the role is released only when it has ended', async (t) => {
  const child = run(t, (stead) => {
    const { once } = require('node:events');
    stead.leader(async ({ term, signal }) => {
      process.send(['begins', term]);
      await once(signal, 'abort');
      await stead.request('any', 'clean up');
    });
    stead.leader().on('acquired', ({ term }) => process.send(['acquired', term]));
    stead.leader().on('lost', ({ term }) => process.send(['lost', term]));
  });
  assert.deepEqual(await child.envelope(), [{ candidate: true }, undefined]);
  child.send({ leader: false, term: 3, who: 'shop.2' });
  child.send({ leader: true, term: 4 });
  child.send({ leader: true, term: 4 });
  assert.deepEqual(await child.next(), ['acquired', 4]);
  assert.deepEqual(await child.next(), ['begins', 4]);
  child.send({ leader: false, term: 4, who: null });
  assert.deepEqual(await child.next(), ['lost', 4]);
  const [{ request }] = await child.envelope();
  child.send({ reply: request, from: 'shop.1' });
  assert.deepEqual(await child.envelope(), [{ released: 4 }, undefined]);
  // The next daemon, when the one before has died with the answer.
  child.send({ leader: false, term: 4, who: null });
  assert.deepEqual(await child.envelope(), [{ released: 4 }, undefined]);
  child.send({ leader: true, term: 6 });
  assert.deepEqual(await child.next(), ['acquired', 6]);
});

test('it can be seen who leads', async (t) => {
  const child = run(t, (stead) => {
    const leader = stead.leader();
    stead.on('tell', () => process.send([leader.held, leader.term, leader.who]));
  });
  await child.envelope();
  const tell = () => child.send({ from: 'outside', topic: 'tell' });
  tell();
  assert.deepEqual(await child.next(), [false, 0, null]);
  child.send({ leader: false, term: 3, who: 'shop.2' });
  tell();
  assert.deepEqual(await child.next(), [false, 3, 'shop.2']);
  child.send({ leader: true, term: 4 });
  tell();
  assert.deepEqual(await child.next(), [true, 4, 'shop.0']);
});

test('a task that ends because it was interrupted is no failure; any other failure ends the process', async (t) => {
  const child = run(t, (stead) => {
    const { setTimeout } = require('node:timers/promises');
    stead.leader(({ signal }) => setTimeout(60_000, null, { signal }));
    stead.leader(({ term }) => {
      if (term === 2) throw new Error('cannot lead');
    });
  });
  await child.envelope();
  child.send({ leader: true, term: 1 });
  child.send({ leader: false, term: 1, who: null });
  assert.deepEqual(await child.envelope(), [{ released: 1 }, undefined]);
  child.send({ leader: true, term: 2 });
  assert.equal(await child.exited, 1);
  assert.match(await child.complained, /cannot lead/);
});
