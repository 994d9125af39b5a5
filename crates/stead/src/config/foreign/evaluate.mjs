// Loads the module named by the first argument and writes what it exports to standard output, as JSON.
// What the module itself prints goes to standard error, so that it cannot be mistaken for the answer.
const { pathToFileURL } = await import('node:url');
const { writeSync } = await import('node:fs');

process.stdout.write = process.stderr.write.bind(process.stderr);

const plain = (key, value) => {
  if (value instanceof RegExp) return value.source;
  if (typeof value === 'bigint') return value.toString();
  return value;
};

let exported;
try {
  const module = await import(pathToFileURL(process.argv[1]).href);
  exported = module.default ?? module;
  if (typeof exported === 'function') exported = exported();
  exported = await exported;
} catch (error) {
  writeSync(2, `${error?.stack ?? error}\n`);
  process.exit(1);
}

let rest = Buffer.from(JSON.stringify(exported, plain) ?? 'null');
while (rest.length > 0) {
  try {
    rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
  }
}
process.exit(0);
