// The types of this package for `import`; they are those of `require`.
import * as stead from './index.js';

export * from './index.js';
export default stead;
