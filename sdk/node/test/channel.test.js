// "My program uses the message channel itself, and the package must not be in its way."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./support/child');

test('a program that only imports the package ends by itself', async (t) => {
  const child = run(t, () => undefined);
  assert.equal(await child.exited, 0);
});

test('a program that has asked and been answered ends by itself', async (t) => {
  const child = run(t, async (stead) => console.log(await stead.pool('resize').run('input')));
  const [{ pool, task }, data] = await child.envelope();
  assert.deepEqual([pool, data], ['resize', 'input']);
  child.send({ task, state: 'done' }, 'output');
  assert.equal(await child.exited, 0);
  assert.equal(await child.said, 'output\n');
});

test('a program stays while it waits for an answer, and while it listens', async (t) => {
  const child = run(t, async (stead) => {
    const listener = (data) => {
      process.send(data);
      stead.off('news', listener);
    };
    stead.on('news', listener);
    await stead.request('any', 'question');
  });
  const [{ request }] = await child.envelope();
  child.send({ from: 'shop.1', topic: 'news' }, 'first');
  assert.equal(await child.next(), 'first');
  child.send({ from: 'shop.1', topic: 'news' }, 'nobody listens any more');
  child.send({ reply: request, from: 'shop.1' });
  assert.equal(await child.exited, 0);
});

test('the messages of the program stay its own, also those that come before it listens', async (t) => {
  const child = run(t, (stead) => {
    stead.once('listen', () => process.on('message', (message) => !message.stead && process.send(message)));
  });
  child.process.send('early');
  child.process.send({ early: 2 });
  child.send({ from: 'outside', topic: 'listen' });
  assert.equal(await child.next(), 'early');
  assert.deepEqual(await child.next(), { early: 2 });
  child.process.send('late');
  assert.equal(await child.next(), 'late');
});

test('a listener of the program keeps it alive as it does without the package', async (t) => {
  const child = run(t, async (stead) => {
    process.on('message', (message) => message === 'end' && process.off('message', process.listeners('message')[0]));
    await stead.broadcast('news');
    process.send('answered');
  });
  const [{ id }] = await child.envelope();
  child.send({ ack: id, receivers: 0, dropped: 0 });
  assert.equal(await child.next(), 'answered');
  child.process.send('end');
  assert.equal(await child.exited, 0);
});

test('whoever waits is told when the channel is closed', async (t) => {
  const child = run(t, (stead) => {
    stead.on('news', () => undefined);
    stead.pool('resize').run(1).catch((error) => console.log(error.code, error instanceof stead.SteadError));
  });
  await child.envelope();
  child.process.disconnect();
  assert.equal(await child.exited, 0);
  assert.equal(await child.said, 'disconnected true\n');
});

test('close ends all listening', async (t) => {
  const child = run(t, (stead) => {
    stead.on('news', () => undefined);
    stead.handle('price', () => 1);
    stead.leader();
    stead.close();
  });
  assert.equal(await child.exited, 0);
});

test('what was asked is asked again when another daemon has taken over', async (t) => {
  const child = run(t, async (stead) => {
    stead.leader();
    const sent = stead.broadcast('news');
    console.log(await Promise.all([sent, stead.pool('resize').run(1), stead.request('any', 'price')]));
    stead.leader().resign();
  });
  assert.deepEqual(await child.envelope(), [{ candidate: true }, undefined]);
  const [news, task, request] = [await child.envelope(), await child.envelope(), await child.envelope()];
  assert.equal(news[0].topic, 'news');
  child.send({ resumed: true });
  assert.deepEqual([await child.envelope(), await child.envelope()], [task, request], 'the message is not repeated');
  assert.deepEqual(await child.envelope(), [{ candidate: true }, undefined]);
  child.send({ task: task[0].task, state: 'done' }, 2);
  child.send({ task: task[0].task, state: 'done' }, 'twice');
  child.send({ reply: request[0].request, from: 'shop.1' }, 3);
  assert.deepEqual(await child.envelope(), [{ candidate: false }, undefined]);
  assert.equal(await child.exited, 0);
  assert.equal(await child.said, '[ { receivers: 0, dropped: 0, unknown: true }, 2, 3 ]\n');
});

test('outside of Stead everything says so', async (t) => {
  const program = async (stead) => {
    const code = (error) => error.code;
    const asked = [stead.broadcast('news'), stead.request('any', 'price'), stead.pool('resize').run(1)];
    const codes = await Promise.all(asked.map((each) => each.catch(code)));
    for (const use of [() => stead.on('news', () => 1), () => stead.leader(), () => stead.shared('users')]) {
      try {
        use();
      } catch (error) {
        codes.push(error.code);
      }
    }
    console.log(stead.inside, codes.join());
  };
  const child = run(t, program, { STEAD_WORKER: undefined });
  assert.equal(await child.exited, 0);
  assert.equal(await child.said, 'false outside,outside,outside,outside,outside,outside\n');
});

test('a child of a worker does not take the channel to its parent for one to Stead', async (t) => {
  const child = run(t, (stead, require) => {
    const { fork } = require('node:child_process');
    if (process.argv[3]) {
      // Without STEAD_SOCKET there is no way at all, so it must not find one.
      console.log(stead.inside);
    } else {
      fork(process.argv[1], [process.argv[2], 'grandchild']);
    }
  });
  assert.equal(await child.exited, 0);
  assert.equal(await child.said, 'false\n');
});

test('both kinds of module are one', async (t) => {
  const child = run(t, async (stead) => {
    const named = await import('stead');
    const names = Object.keys(stead).sort();
    const missing = names.filter((name) => named[name] !== stead[name]);
    console.log(named.default === stead, missing.length);
  });
  assert.equal(await child.said, 'true 0\n');
});
