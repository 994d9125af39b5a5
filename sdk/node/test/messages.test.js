// "My workers talk to each other."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./support/child');

test('messages are sent to an address and say what became of them', async (t) => {
  const child = run(t, async (stead) => {
    console.log(JSON.stringify(await stead.broadcast('news', { a: 1 })));
    console.log(JSON.stringify(await stead.send('shop.2', 'news', 'x')));
    await stead.broadcast('news', 1, { self: true });
  });
  const [{ id, ...words }, data] = await child.envelope();
  assert.deepEqual([words, data], [{ to: 'app', topic: 'news' }, { a: 1 }]);
  child.send({ ack: id, receivers: 7, dropped: 1 });
  const [second] = await child.envelope();
  assert.equal(second.to, 'shop.2');
  child.send({ ack: second.id, receivers: 1, dropped: 0 });
  const [third] = await child.envelope();
  assert.equal(third.self, true);
  child.send({ ack: third.id, receivers: 8, dropped: 0 });
  assert.equal(await child.said, '{"receivers":7,"dropped":1}\n{"receivers":1,"dropped":0}\n');
});

test('a refused message is an error with a code', async (t) => {
  const child = run(t, (stead) => stead.send('nobody', 'news').catch((error) => console.log(error.code, error.message)));
  const [{ id }] = await child.envelope();
  child.send({ ack: id, error: { code: 'no_receiver', message: 'there is no app `nobody`' } });
  assert.equal(await child.said, 'no_receiver there is no app `nobody`\n');
});

test('what cannot be sent is an error with a code', async (t) => {
  const program = async (stead) => {
    const cycle = {};
    cycle.cycle = cycle;
    const told = (error) => console.log(error.name, error.code, error.cause.name);
    await stead.broadcast('news', cycle).catch(told);
    await stead.request('any', 'news', cycle).catch(told);
    await stead.shared('news').set(cycle).catch(told);
    stead.close();
  };
  const expected = 'SteadError bad_message TypeError\n'.repeat(3);
  assert.equal(await run(t, program).said, expected);
});

test('listeners get their topic, and `*` gets all', async (t) => {
  const child = run(t, (stead) => {
    const tell = (who) => (data, about) => process.send([who, data, about]);
    stead.on('news', tell('on'));
    stead.once('news', tell('once'));
    stead.on('*', tell('all'));
  });
  const about = { from: 'shop.1', topic: 'news' };
  child.send(about, 1);
  child.send(about, 2);
  child.send({ from: 'outside' }, 3);
  const expected = [['on', 1], ['once', 1], ['all', 1], ['on', 2], ['all', 2]].map((each) => [...each, about]);
  for (const each of expected) assert.deepEqual(await child.next(), each);
  assert.deepEqual(await child.next(), ['all', 3, { from: 'outside' }]);
});

test('a request is answered with what the handler returns or throws', async (t) => {
  const child = run(t, (stead) => {
    stead.handle('double', async (number, { from }) => ({ from, result: 2 * number }));
    stead.handle('fail', () => {
      throw Object.assign(new Error('no such thing'), { code: 'missing' });
    });
    stead.handle('cycle', () => {
      const cycle = {};
      return Object.assign(cycle, { cycle });
    });
  });
  child.send({ from: 'shop.1', topic: 'double', request: 'a' }, 4);
  assert.deepEqual(await child.envelope(), [{ reply: 'a' }, { from: 'shop.1', result: 8 }]);
  child.send({ from: 'shop.1', topic: 'fail', request: 'b' });
  const [{ reply, error }] = await child.envelope();
  assert.deepEqual([reply, error.code, error.message], ['b', 'missing', 'no such thing']);
  child.send({ from: 'shop.1', topic: 'cycle', request: 'c' });
  assert.match((await child.envelope())[0].error.message, /circular/);
  child.send({ from: 'shop.1', topic: 'unknown', request: 'd' });
  assert.equal((await child.envelope())[0].error.code, 'no_receiver');
});

test('a program without handlers answers requests itself', async (t) => {
  const child = run(t, (stead) => {
    stead.on('news', () => undefined);
    process.on('message', ({ stead }) => process.send({ stead: { reply: stead.request }, data: 'by hand' }));
  });
  child.send({ from: 'shop.1', topic: 'price', request: 'a' });
  assert.deepEqual(await child.envelope(), [{ reply: 'a' }, 'by hand']);
});

test('a request gives the answer, and what was thrown far away is the cause', async (t) => {
  const child = run(t, async (stead) => {
    console.log(await stead.request('any', 'price', 'apple', { timeout: 500 }));
    const error = await stead.request('any', 'price', 'pear').catch((error) => error);
    console.log(error.name, error.code, error.message, error.cause.name, error.cause.stack);
  });
  const [{ request, ...words }, data] = await child.envelope();
  assert.deepEqual([words, data], [{ to: 'any', topic: 'price', timeout: 500 }, 'apple']);
  child.send({ reply: request, from: 'shop.1' }, 3);
  const [second] = await child.envelope();
  const error = { code: 'failed', message: 'no pears', name: 'RangeError', stack: 'far away' };
  child.send({ reply: second.request, from: 'shop.1', error });
  assert.equal(await child.said, '3\nSteadError failed no pears RangeError far away\n');
});
