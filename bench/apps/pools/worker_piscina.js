// The same task for piscina, which runs it in threads.
const spin = require('../lib/spin');

module.exports = (loops) => {
  spin(loops);
  return loops;
};
