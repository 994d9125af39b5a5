// Counts words in two steps, each a pool of its own and in a language of its own: `split` takes lines apart, `count` adds up.
// Eight lines are on their way at a time; the result is printed, and the program ends.
//
//   stead run -c examples/pipeline/stead.toml
const stead = require('../../sdk/node'); // after `npm install`: require('stead')

const LINES = Array.from({ length: 200 }, (_, number) => `line ${number % 10} of a text with the word stead in it`);
const AT_ONCE = 8;

async function main() {
  const total = new Map();
  const lines = LINES.values();
  const take = async () => {
    for (const line of lines) {
      const words = await stead.pool('split').run(line);
      const counts = await stead.pool('count').run(words);
      for (const [word, count] of Object.entries(counts)) total.set(word, (total.get(word) ?? 0) + count);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  console.log(`stead: ${total.get('stead')}, of: ${total.get('of')}, words: ${total.size}`);
}

main();
