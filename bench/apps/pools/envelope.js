// The pool `spin` of the Stead that runs this program: no library, the documented messages themselves.
module.exports = async () => {
  const waiting = new Map();
  process.on('message', ({ stead, data }) => {
    if (stead?.task === undefined || !waiting.has(stead.task)) return;
    const { resolve, reject } = waiting.get(stead.task);
    waiting.delete(stead.task);
    if (stead.state === 'done') resolve(data.done);
    else reject(new Error(`${stead.state}: ${JSON.stringify(stead.error)}`));
  });
  let id = 0;
  return {
    run: (loops) =>
      new Promise((resolve, reject) => {
        waiting.set(++id, { resolve, reject });
        process.send({ stead: { pool: 'spin', task: id }, data: { loops } });
      }),
    close: () => {},
  };
};
