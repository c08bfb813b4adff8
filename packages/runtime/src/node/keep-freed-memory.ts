// Where the C library is glibc, blocks above a threshold are mapped afresh for every allocation and unmapped when they are
// freed, and what lies free at the heap's top goes back to the system beyond twice as much: every page of every result of
// every run can then be a page fault. The threshold follows the largest mapped block that was freed, up to 32 MiB
// (mallopt(3), M_MMAP_THRESHOLD). Freeing one such block, whose pages nobody has touched, settles it; otherwise it is luck,
// namely how large a piece of the model's files was read and collected before.
//
// Results of ort-cpu are the case: onnxruntime-node copies each into a new buffer, 3.5 MB for 128 tokens of a model of 100
// million weights. Filling and freeing as much took 13 ms with the threshold as it comes and 0.4 behind this; a cache of
// 12 MB 73 and 1.4 (a virtual machine, where a fault costs 10 microseconds). Other C libraries see one allocation.

/** The largest block that glibc counts for its threshold, less what its own header and rounding to pages take. */
const BLOCK_BYTES = 32 * 2 ** 20 - 64 * 2 ** 10;

let done = false;

/** Once per process. At most 64 MB of freed memory then stay with it. */
export function keepFreedMemory(): void {
  if (done || process.platform !== 'linux') return;
  done = true;
  new ArrayBuffer(BLOCK_BYTES).transfer?.(0);
}
