// The worker of Node's own fork pool, and of Stead's pools as they take any program: one message in, one message out.
const spin = require('../lib/spin');

process.on('message', ({ id, loops }) => {
  spin(loops);
  process.send({ id, done: loops });
});
