// Messages between Node.js processes by `child.send` and `process.send`.
//
// node ipc_rate.js json|advanced BYTES SECONDS
// prints {"one_per_s": ..., "window_per_s": ..., "oneway_per_s": ..., "broadcast_per_s": ...}; c/ipc_rate.c says what they are
const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

const WINDOW = 64;
const CHILDREN = 8;
// Sent and not yet taken by the kernel, for all children together: more would only fill this process's memory.
const UNSENT_MAX = 512;
const WARM_ROUND_TRIPS = 2000;

const [serialization, bytes, seconds] = process.argv.slice(2);
const data = 'x'.repeat(Number(bytes));
const nanoseconds = BigInt(Math.round(Number(seconds) * 1e9));

const start = () => fork(path.join(__dirname, 'ipc_child.js'), { serialization });
const rate = (count, begun) => (count / Number(process.hrtime.bigint() - begun)) * 1e9;

// As many round trips as fit, `window` at once.
function roundTrips(child, window, isOver) {
  return new Promise((resolve) => {
    const begun = process.hrtime.bigint();
    let back = 0;
    let flying = window;
    const onMessage = () => {
      back++;
      if (!isOver(back, begun)) return child.send({ echo: 1, data });
      if (--flying > 0) return undefined;
      child.off('message', onMessage);
      return resolve(rate(back, begun));
    };
    child.on('message', onMessage);
    for (let i = 0; i < window; i++) child.send({ echo: 1, data });
  });
}

async function oneWay(children) {
  const begun = process.hrtime.bigint();
  let sent = 0;
  let unsent = 0;
  let wake = () => {};
  const taken = () => {
    if (--unsent < UNSENT_MAX / 2) wake();
  };
  while (process.hrtime.bigint() - begun < nanoseconds) {
    for (const child of children) {
      unsent++;
      sent++;
      child.send({ data }, taken);
    }
    if (unsent >= UNSENT_MAX) await new Promise((resolve) => (wake = resolve));
  }
  await Promise.all(children.map((child) => (child.send({ end: 1 }), once(child, 'message'))));
  return rate(sent, begun);
}

async function main() {
  const timeIsOver = (_back, begun) => process.hrtime.bigint() - begun >= nanoseconds;
  const children = [start()];
  await roundTrips(children[0], WINDOW, (back) => back >= WARM_ROUND_TRIPS);
  const one_per_s = await roundTrips(children[0], 1, timeIsOver);
  const window_per_s = await roundTrips(children[0], WINDOW, timeIsOver);
  const oneway_per_s = await oneWay(children);
  while (children.length < CHILDREN) children.push(start());
  for (const child of children) await roundTrips(child, 1, () => true);
  const broadcast_per_s = await oneWay(children);
  console.log(JSON.stringify({ one_per_s, window_per_s, oneway_per_s, broadcast_per_s }));
  for (const child of children) child.disconnect();
}

main();
