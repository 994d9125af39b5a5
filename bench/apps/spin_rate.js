// What a core gives when nobody hands out the work: tasks of so many turns of the empty loop, one after another.
//
// node spin_rate.js SECONDS LOOPS     prints {"per_s": ...}
const spin = require('./lib/spin');

const [seconds, loops] = process.argv.slice(2).map(Number);
const WARM_TASKS = 50;

for (let task = 0; task < WARM_TASKS; task++) spin(loops);
const begun = performance.now();
let done = 0;
while (performance.now() - begun < seconds * 1000) {
  spin(loops);
  done++;
}
console.log(JSON.stringify({ per_s: (done / (performance.now() - begun)) * 1000 }));
