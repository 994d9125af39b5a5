// The same task for Stead's pools, by Stead's package for Node.js.
const { worker } = require('../../../sdk/node');
const spin = require('../lib/spin');

worker(({ loops }) => {
  spin(loops);
  return { done: loops };
});
