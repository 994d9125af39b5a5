// The same task for Stead's pools, by the documented messages: tasks have names, and some are sent ahead.
const spin = require('../lib/spin');

process.on('message', ({ stead, data: { loops } }) => {
  spin(loops);
  process.send({ stead: { done: stead.run }, data: { done: loops } });
});
process.send({ stead: { worker: true } });
