// A pool of processes by the workerpool package.
const path = require('node:path');
const workerpool = require('workerpool');

module.exports = async (size) => {
  const pool = workerpool.pool(path.join(__dirname, 'worker_workerpool.js'), {
    minWorkers: size,
    maxWorkers: size,
    workerType: 'process',
  });
  return { run: (loops) => pool.exec('task', [loops]), close: () => pool.terminate() };
};
