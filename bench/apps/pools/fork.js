// A pool as one writes it with Node's own means: forked workers, each task to the one that has the fewest.
const { fork } = require('node:child_process');
const path = require('node:path');

module.exports = async (size) => {
  const waiting = new Map();
  const workers = Array.from({ length: size }, () => ({
    child: fork(path.join(__dirname, 'worker.js')),
    running: 0,
  }));
  for (const worker of workers) {
    worker.child.on('message', ({ id, done }) => {
      worker.running--;
      waiting.get(id)(done);
      waiting.delete(id);
    });
  }
  let id = 0;
  return {
    run: (loops) =>
      new Promise((resolve) => {
        const worker = workers.reduce((best, other) => (other.running < best.running ? other : best));
        worker.running++;
        waiting.set(++id, resolve);
        worker.child.send({ id, loops });
      }),
    close: () => workers.forEach(({ child }) => child.disconnect()),
  };
};
