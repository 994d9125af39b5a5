// Gives tasks to a pool and says how fast they come back.
//
// node drive.js KIND WORKERS SECONDS LOOPS [FILE]     KIND is a file beside this one
//
// prints (or writes into FILE) {"noop_per_s": ..., "cpu_per_s": ..., "lone_us": ..., "driver_us": ...}:
// tasks that do nothing, and tasks of LOOPS turns of an empty loop, 64 at once for SECONDS; the median time of one that
// does nothing while there is no other; CPU of this process for each that does nothing.
const fs = require('node:fs');

const AT_ONCE = Number(process.env.BENCH_AT_ONCE || 64);
const WARM_SECONDS = 0.5;

const [kind, workers, seconds, loops, file] = process.argv.slice(2);

async function flood(run, turns, milliseconds) {
  let done = 0;
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const one = async () => {
    while (performance.now() - begun < milliseconds) {
      if ((await run(turns)) !== turns) throw new Error('a wrong result');
      done++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const { user, system } = process.cpuUsage(cpu);
  return { per_s: (done / (performance.now() - begun)) * 1000, us: (user + system) / done };
}

async function alone(run, milliseconds) {
  const times = [];
  const begun = performance.now();
  while (performance.now() - begun < milliseconds) {
    const started = performance.now();
    await run(0);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] * 1000;
}

async function main() {
  const { run, close } = await require(`./${kind}`)(Number(workers));
  await flood(run, 0, WARM_SECONDS * 1000);
  const lone_us = await alone(run, seconds * 500);
  const noop = await flood(run, 0, seconds * 1000);
  const cpu = await flood(run, Number(loops), seconds * 1000);
  await close();
  return { noop_per_s: noop.per_s, cpu_per_s: cpu.per_s, lone_us, driver_us: noop.us };
}

main()
  .catch((error) => ({ error: String(error) }))
  .then((said) => {
    const text = `${JSON.stringify(said)}\n`;
    if (!file) return process.stdout.write(text, () => process.exit('error' in said ? 1 : 0));
    // In one step: whoever waits for the file reads all of it.
    fs.writeFileSync(`${file}.new`, text);
    fs.renameSync(`${file}.new`, file);
    return undefined;
  });
