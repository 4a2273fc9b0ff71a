/**
 * Jest runs tests in a realm of its own, but arrays made by the TensorFlow binding belong to Node's. Sharing the
 * typed-array classes lets `instanceof` agree on both sides.
 */
const { TestEnvironment } = require('jest-environment-node');

// Inside a test, process.env is a copy that TensorFlow does not see.
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';

const shared = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'BigInt64Array',
  'BigUint64Array',
  'Error',
  'RangeError',
];

module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of shared) this.global[name] = globalThis[name];
  }
};
