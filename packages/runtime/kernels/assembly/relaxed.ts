// The kernels for engines with relaxed SIMD: the plain set, compiled with fused multiply-adds, and the faster 4-bit
// products.
export * from './plain';
export { int4Dot } from './int4-dot';
export { int4Pairs } from './int4-pairs';
