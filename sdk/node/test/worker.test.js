// "My function does the tasks of a pool."
const assert = require('node:assert/strict');
const test = require('node:test');
const { run, runWithoutChannel } = require('./support/child');

test('a worker says what it is, does tasks and tells of failures', async (t) => {
  const child = run(t, (stead) => {
    stead.worker(async (input, { attempt, key, timeout }) => {
      if (input === 'bad') throw Object.assign(new TypeError('bad input'), { code: 'bad', retry: false });
      return { input, attempt, key, timeout };
    });
  });
  assert.deepEqual(await child.envelope(), [{ worker: true, concurrency: 1, batches: true }, undefined]);
  child.send({ run: 'a', attempt: 2, key: 'k', timeout: 9 }, 1);
  assert.deepEqual(await child.envelope(), [{ done: 'a' }, { input: 1, attempt: 2, key: 'k', timeout: 9 }]);
  child.send({ run: 'b', attempt: 1 }, 'bad');
  const [{ failed, retry, error }] = await child.envelope();
  assert.deepEqual([failed, retry, error.name, error.message, error.code], ['b', false, 'TypeError', 'bad input', 'bad']);
  child.process.disconnect();
  assert.equal(await child.exited, 0);
});

test('no more tasks run at once than was said, and they begin in their order', async (t) => {
  const child = run(t, (stead) => {
    stead.worker(
      (input) => {
        process.send({ begins: input });
        return new Promise((resolve) => stead.once(`end ${input}`, () => resolve(input)));
      },
      { concurrency: 2 },
    );
  });
  assert.equal((await child.envelope())[0].concurrency, 2);
  for (const input of [1, 2, 3, 4]) child.send({ run: `t${input}` }, input);
  child.send({ abort: 't4' });
  assert.deepEqual(await child.next(), { begins: 1 });
  assert.deepEqual(await child.next(), { begins: 2 });
  assert.deepEqual((await child.envelope())[0].error.code, 'cancelled');
  child.send({ from: 'outside', topic: 'end 1' });
  assert.deepEqual(await child.envelope(), [{ done: 't1' }, 1]);
  assert.deepEqual(await child.next(), { begins: 3 });
});

test('what was asked together is answered together, as it was when each task ended', async (t) => {
  const child = run(t, (stead) => {
    const answer = {};
    stead.worker(async (input) => {
      if (input === 'bad') return { never: 1n };
      answer.input = input;
      return input === 'none' ? undefined : answer;
    });
  });
  await child.envelope();
  const batch = [1, 'bad', 'none', 2].map((data, at) => ({ stead: { run: `${at}` }, data }));
  child.send({ batch });
  const answers = [];
  let messages = 0;
  for (; answers.length < batch.length; messages++) {
    const [{ batch }] = await child.envelope();
    answers.push(...batch);
  }
  assert.ok(messages <= batch.length);
  const said = answers.map(({ stead, data }) => [stead.done ?? `${stead.failed} ${stead.error.code}`, data]);
  assert.deepEqual(said, [['0', { input: 1 }], ['1 bad_message', undefined], ['2', undefined], ['3', { input: 2 }]]);
  // One by one again.
  child.send({ run: 'a' }, 3);
  assert.deepEqual(await child.envelope(), [{ done: 'a' }, { input: 3 }]);
});

test('large answers to what was asked together do not become one message', async (t) => {
  const child = run(t, (stead) => stead.worker(([size, of]) => (of === 'text' ? 'x'.repeat(size) : ['x'.repeat(size)])));
  await child.envelope();
  const batch = [[1 << 20, 'text'], [1 << 20, 'list'], [1 << 20, 'text'], [1, 'list']];
  child.send({ batch: batch.map((data, at) => ({ stead: { run: `${at}` }, data })) });
  for (let answers = 0; answers < batch.length; ) {
    const [{ batch }] = await child.envelope();
    assert.ok(JSON.stringify(batch).length < 2 << 20);
    answers += batch.length;
  }
});

test('an error that cannot be sent fails its own task alone', async (t) => {
  const child = run(t, (stead) => {
    stead.worker((input) => {
      if (input === 'bad') throw Object.assign(new Error(), { message: 1n });
      return input;
    });
  });
  await child.envelope();
  child.send({ run: 'a' }, 'bad');
  assert.equal((await child.envelope())[0].error.code, 'bad_message');
  child.send({ batch: [1, 'bad', 2].map((data, at) => ({ stead: { run: `${at}` }, data })) });
  const said = [];
  while (said.length < 3) {
    for (const { stead } of (await child.envelope())[0].batch) said.push(stead.done ?? `${stead.failed} ${stead.error.code}`);
  }
  assert.deepEqual(said, ['0', '1 bad_message', '2']);
});

test('a slow task does not keep the answers of those before it for long', async (t) => {
  const child = run(t, (stead) => {
    const { setTimeout } = require('node:timers/promises');
    stead.worker((input) => (input === 'slow' ? setTimeout(600_000) : input));
  });
  await child.envelope();
  child.send({ batch: [{ stead: { run: 'a' }, data: 1 }, { stead: { run: 'b' }, data: 'slow' }] });
  assert.deepEqual(await child.envelope(), [{ batch: [{ stead: { done: 'a' }, data: 1 }] }, undefined]);
});

test('a task tells of progress, sends parts and is aborted', async (t) => {
  const child = run(t, (stead, require) => {
    const { once } = require('node:events');
    stead.worker(async (input, { progress, part, signal }) => {
      progress(0.5);
      await part('one');
      await once(signal, 'abort');
      throw signal.reason;
    });
  });
  await child.envelope();
  child.send({ run: 'a' });
  assert.deepEqual(await child.envelope(), [{ progress: 'a' }, 0.5]);
  assert.deepEqual(await child.envelope(), [{ part: 'a' }, 'one']);
  child.send({ abort: 'a' });
  assert.deepEqual((await child.envelope())[0].error.code, 'cancelled');
});

test('an input that was sent before the worker was known is passed over', async (t) => {
  const child = run(t, (stead) => stead.worker((input) => input * 2));
  await child.envelope();
  child.process.send(20);
  child.send({ run: 'a' }, 21);
  assert.deepEqual(await child.envelope(), [{ done: 'a' }, 42]);
});

test('without a channel tasks are lines, and what is printed does not disturb them', async (t) => {
  const program = (stead) => {
    stead.worker(async (input) => {
      console.log('working on', input);
      return `${input}!`;
    });
  };
  const child = runWithoutChannel(t, program);
  child.process.stdin.end('"passed over"\nno JSON\n{"stead":{"run":"a"},"data":"é"}\n{"stead":{"run":"b"},"data":1}');
  const lines = ['{"stead":{"worker":true,"concurrency":1,"batches":true}}', '{"stead":{"done":"a"},"data":"é!"}', '{"stead":{"done":"b"},"data":"1!"}'];
  assert.deepEqual((await child.said).split('\n'), [...lines, '']);
  assert.equal(await child.complained, 'working on é\nworking on 1\n');
});

test('however many tasks wait, each is done', async (t) => {
  const child = runWithoutChannel(t, (stead) => {
    const all = new Promise((resolve) => process.stdin.once('end', resolve));
    stead.worker((input) => (input === 0 ? all : input));
  });
  const tasks = Array.from({ length: 20_000 }, (_, data) => JSON.stringify({ stead: { run: `t${data}` }, data }));
  child.process.stdin.end(tasks.join('\n'));
  const said = (await child.said).trimEnd().split('\n').slice(1).map((line) => JSON.parse(line).stead.done);
  assert.deepEqual(said, Array.from({ length: 20_000 }, (_, data) => `t${data}`));
});
