// Node's own cluster, written with care: WORKERS copies of the program (argument), each replaced when it exits.
// SIGUSR2 replaces all of them, one by one, the new one first, and prints `replaced <n>` when that is done.
const cluster = require('node:cluster');

cluster.setupPrimary({ exec: process.argv[2] });

function fork() {
  const worker = cluster.fork();
  worker.once('exit', () => {
    if (!worker.exitedAfterDisconnect) fork();
  });
  return worker;
}

for (let i = 0; i < Number(process.env.WORKERS); i++) fork();

function replace(worker) {
  return new Promise((done) => {
    if (worker.isDead()) return done();
    fork().once('listening', () => {
      if (worker.isDead()) return done();
      worker.once('exit', done);
      worker.disconnect();
    });
  });
}

let replacements = 0;
process.on('SIGUSR2', async () => {
  for (const worker of Object.values(cluster.workers)) await replace(worker);
  replacements += 1;
  console.log(`replaced ${replacements}`);
});
