// A pool of threads.
const path = require('node:path');
const { Piscina } = require('piscina');

module.exports = async (size) => {
  const pool = new Piscina({
    filename: path.join(__dirname, 'worker_piscina.js'),
    minThreads: size,
    maxThreads: size,
  });
  return { run: (loops) => pool.run(loops), close: () => pool.destroy() };
};
