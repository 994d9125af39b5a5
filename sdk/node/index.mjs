// What a program gets from `import 'stead'`: the very same objects as by `require`.
import stead from './index.js';

export const { send, broadcast, on, once, off, request, handle, shared, leader, pool, worker, close, inside, SteadError } = stead;
export default stead;
