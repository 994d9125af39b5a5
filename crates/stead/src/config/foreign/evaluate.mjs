// Loads the module named by the first argument and writes what it exports to standard output, as JSON.
// What the module itself prints goes to standard error; what goes round that comes before a zero byte, which JSON never has.
const { pathToFileURL } = await import('node:url');
const { writeSync } = await import('node:fs');

process.stdout.write = process.stderr.write.bind(process.stderr);

const plain = (key, value) => {
  if (value instanceof RegExp) return /^[\w-]+$/.test(value.source) ? value.source : String(value);
  if (typeof value === 'bigint') return value.toString();
  return value;
};

let answer;
try {
  const module = await import(pathToFileURL(process.argv[1]).href);
  let exported = module.default ?? module;
  if (typeof exported === 'function') exported = exported();
  answer = JSON.stringify(await exported, plain) ?? 'null';
} catch (error) {
  writeSync(2, `${error?.stack ?? error}\n`);
  process.exit(1);
}

let rest = Buffer.from(`\0${answer}`);
while (rest.length > 0) {
  try {
    rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
  }
}
process.exit(0);
