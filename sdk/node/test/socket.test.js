// "My program has no message channel to Stead, and everything is there all the same."
const assert = require('node:assert/strict');
const test = require('node:test');
const { runWithoutChannel } = require('./support/child');
const { listen } = require('./support/daemon');

/** A program whose only way is the socket. */
async function start(t, program) {
  const daemon = await listen(t);
  return { daemon, child: runWithoutChannel(t, program, { STEAD_SOCKET: daemon.socket }) };
}

test('messages and requests are sent', async (t) => {
  const { daemon, child } = await start(t, async (stead) => {
    console.log(await stead.broadcast('news', 1));
    console.log(await stead.broadcast('news', 2));
    console.log(await stead.request('any', 'price', 'apple', { timeout: 500 }));
    await stead.request('any', 'price', 'pear').catch((error) => console.log(error.code, error.message));
    await stead.request('any', 'price', 'pear').catch((error) => console.log(error.code));
  });
  const first = await daemon.expect('POST /v1/messages');
  assert.deepEqual([first.body, first.headers['stead-worker']], [{ to: 'app', topic: 'news', data: 1 }, 'shop.0']);
  first.answer(200, { receivers: 3, dropped: 0 });
  (await daemon.expect('POST /v1/messages')).cut();
  const request = await daemon.expect('POST /v1/messages');
  assert.deepEqual(request.body, { to: 'any', topic: 'price', request: true, timeout: 500, data: 'apple' });
  request.answer(200, { from: 'shop.1', data: 3 });
  (await daemon.expect('POST /v1/messages')).answer(504, { error: { code: 'timeout', message: 'no answer in time' } });
  (await daemon.expect('POST /v1/messages')).cut();
  const unknown = '{ receivers: 0, dropped: 0, unknown: true }';
  assert.equal(await child.said, `{ receivers: 3, dropped: 0 }\n${unknown}\n3\ntimeout no answer in time\ninterrupted\n`);
  assert.equal(await child.exited, 0);
});

test('what cannot be sent is an error with a code', async (t) => {
  const { child } = await start(t, async (stead) => {
    const cycle = {};
    cycle.cycle = cycle;
    const told = (error) => console.log(error.name, error.code);
    await stead.broadcast('news', cycle).catch(told);
    await stead.request('any', 'news', cycle).catch(told);
    await stead.shared('news').set(cycle).catch(told);
    stead.close();
  });
  assert.equal(await child.said, 'SteadError bad_message\n'.repeat(3));
});

test('what others send comes, also from the next daemon, and requests are answered', async (t) => {
  const { daemon } = await start(t, (stead) => {
    stead.on('news', (data, { from }) => stead.send('shop.9', 'got', [data, from]));
    stead.handle('price', () => 3);
  });
  const stream = await daemon.expect('GET /v1/messages');
  stream.open();
  stream.event('message', { stead: { from: 'shop.1', topic: 'news' }, data: 'one' });
  const first = await daemon.expect('POST /v1/messages');
  assert.deepEqual(first.body.data, ['one', 'shop.1']);
  first.answer(200, { receivers: 1, dropped: 0 });
  stream.cut();
  const next = await daemon.expect('GET /v1/messages');
  next.open();
  next.event('message', { stead: { from: 'shop.1', topic: 'price', request: 'a/b' } });
  assert.deepEqual((await daemon.expect('POST /v1/replies/a%2Fb')).body, { data: 3 });
});

test('the stream keeps no process that does not listen', async (t) => {
  const { daemon, child } = await start(t, async (stead) => {
    const users = stead.shared('users');
    console.log(await users.get(), users.version);
  });
  const questions = ['GET /v1/messages', 'GET /v1/apps/shop/shared/users', 'GET /v1/apps/shop/shared/users'];
  (await daemon.expect(questions[0])).open();
  (await daemon.expect(questions[1])).answer(404, { error: { code: 'no_such_value', message: 'not set' } });
  (await daemon.expect(questions[2])).answer(200, 7, { ETag: '"3"' });
  assert.equal(await child.said, '7 3\n');
  assert.equal(await child.exited, 0);
});

test('shared values are set, compared and taken away', async (t) => {
  const { daemon, child } = await start(t, async (stead) => {
    const users = stead.shared('users');
    console.log(await users.set(7, { ifVersion: 3 }).catch((error) => error.code));
    console.log(await users.set(7));
    await users.unset();
    stead.close();
  });
  await daemon.expect('GET /v1/messages');
  await daemon.expect('GET /v1/apps/shop/shared/users');
  const path = '/v1/apps/shop/shared/users';
  const compared = await daemon.expect(`PUT ${path}`);
  assert.deepEqual([compared.headers['if-match'], compared.body], ['"3"', 7]);
  compared.answer(412, { error: { code: 'conflict', message: 'it is version 4' } });
  // A daemon that dies with it: setting a value twice does no harm.
  (await daemon.expect(`PUT ${path}`)).cut();
  (await daemon.expect(`PUT ${path}`)).answer(200, {}, { ETag: '"5"' });
  (await daemon.expect(`DELETE ${path}`)).answer(204);
  assert.equal(await child.said, 'conflict\n5\n');
});

test('the role outlives the stream, and is given back at the end', async (t) => {
  const { daemon, child } = await start(t, (stead) => {
    stead.leader().on('acquired', ({ term }) => stead.send('shop.9', `acquired ${term}`));
    stead.once('end', () => stead.close());
  });
  const accept = async (candidate) => {
    const question = await daemon.expect('POST /v1/candidates');
    assert.deepEqual(question.body, { candidate });
    question.answer(200, {});
  };
  const stream = await daemon.expect('GET /v1/messages');
  stream.open();
  await accept(true);
  stream.event('leader', { stead: { leader: true, term: 1 } });
  const told = await daemon.expect('POST /v1/messages');
  assert.equal(told.body.topic, 'acquired 1');
  told.answer(200, { receivers: 1, dropped: 0 });
  stream.cut();
  const next = await daemon.expect('GET /v1/messages');
  next.open();
  await accept(true);
  next.event('leader', { stead: { leader: true, term: 1 } });
  next.event('message', { stead: { from: 'outside', topic: 'end' } });
  await accept(false);
  const released = await daemon.expect('POST /v1/released');
  assert.deepEqual(released.body, { term: 1 });
  released.answer(200, {});
  assert.equal(await child.exited, 0);
});

test('a task is the same task however often it is sent', async (t) => {
  const { daemon, child } = await start(t, async (stead) => {
    console.log(await stead.pool('resize').run('input', { key: 'a b', timeout: 500 }));
    console.log(await stead.pool('resize').run('bad').catch((error) => `${error.code}: ${error.cause.name}`));
  });
  const first = await daemon.next();
  const url = new URL(first.line.split(' ')[1], 'http://stead');
  assert.equal(url.pathname, '/v1/pools/resize/tasks');
  assert.deepEqual([url.searchParams.get('key'), url.searchParams.get('timeout'), first.body], ['a b', '500', 'input']);
  first.cut();
  // One that is being replaced by the next.
  (await daemon.expect(first.line)).answer(202, { id: 'x', state: 'running', attempts: 1 });
  const again = await daemon.expect(first.line);
  again.answer(200, { id: 'x', state: 'done', result: 'output', attempts: 1 });
  const error = { code: 'failed', message: 'no', name: 'TypeError' };
  (await daemon.next()).answer(422, { id: 'y', state: 'failed', error });
  assert.equal(await child.said, 'output\nfailed: TypeError\n');
});

test('progress and parts come before the result, also from the next daemon', async (t) => {
  const { daemon, child } = await start(t, async (stead) => {
    const parts = stead.pool('report').stream(1, { onProgress: (done) => console.log('progress', done) });
    for await (const part of parts) console.log(part);
    console.log(await parts.result);
  });
  const first = await daemon.next();
  assert.equal(first.headers.accept, 'text/event-stream');
  first.open();
  first.event('progress', 0.5);
  first.event('part', 'one');
  first.response.end();
  const again = await daemon.expect(first.line);
  again.open();
  again.event('part', 'two');
  again.event('done', { id: 'x', state: 'done', result: 'all' });
  again.response.end();
  assert.equal(await child.said, 'progress 0.5\none\ntwo\nall\n');
});
