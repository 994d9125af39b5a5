// The same task for Stead's pools, by the documented messages: tasks have names, and some are sent ahead.
const spin = require('../lib/spin');

process.on('message', ({ stead, data }) => {
  // Sent before this worker's own first message was read: comes again.
  if (!stead) return;
  spin(data.loops);
  process.send({ stead: { done: stead.run }, data: { done: data.loops } });
});
process.send({ stead: { worker: true } });
