// The pool `spin` of the Stead that runs this program, by Stead's package for Node.js.
const stead = require('../../../sdk/node');

module.exports = async () => {
  const pool = stead.pool('spin');
  return { run: async (loops) => (await pool.run({ loops })).done, close: () => stead.close() };
};
