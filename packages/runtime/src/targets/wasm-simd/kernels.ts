// The compiled kernels (packages/runtime/kernels): their exported functions, and loading the right one of four modules.

/** Addresses and byte strides are plain numbers into the module's memory; units as documented beside the sources. */
export interface Kernels {
  int4Plain: QuantisedProduct;
  int8Product: QuantisedProduct;
  /** Relaxed SIMD only. */
  int4Pairs?: QuantisedProduct;
  /** Relaxed SIMD only. */
  int4Dot?: QuantisedProduct;
  floatProduct(
    w: number,
    panels: number,
    inputs: number,
    act: number,
    actStride: number,
    out: number,
    outStride: number,
    bias: number,
    add: number,
    tokens: number,
  ): void;
  quantize(x: number, blocks: number, q: number, meta: number, order: number, limit: number): void;
  rmsNorm(x: number, weight: number, padded: number, n: number, eps: number, out: number): void;
  addRmsNorm(x: number, y: number, weight: number, padded: number, n: number, eps: number): void;
  rotateHead(
    x: number,
    width: number,
    half: number,
    cos: number,
    sin: number,
    weight: number,
    eps: number,
  ): void;
  quantizeRow(x: number, width: number, limit: number, to: number): number;
  quantizeValue(x: number, width: number, values: number, slot: number): number;
  readKey(from: number, width: number, scale: number, out: number): void;
  attend(
    q: number,
    queries: number,
    stride: number,
    width: number,
    keys: number,
    keyScales: number,
    values: number,
    valueScales: number,
    begin: number,
    end: number,
    scale: number,
    cap: number,
    limit: number,
    scratch: number,
    scoreSlots: number,
    out: number,
  ): void;
  gated(both: number, groups: number, kind: number, out: number): void;
  softCap(x: number, n: number, cap: number): void;
  summarize(x: number, n: number, out: number): void;
  readAll(p: number, bytes: number, out: number): void;
}

export type QuantisedProduct = (
  w: number,
  panels: number,
  blocks: number,
  act: number,
  actStride: number,
  meta: number,
  metaStride: number,
  out: number,
  outStride: number,
  bias: number,
  add: number,
  tokens: number,
  /** int4Dot's room for an unpacked panel, 288 bytes per block; used where there are several tokens. */
  scratch: number,
) => void;

export type KernelSet = 'relaxed' | 'plain';

// `new URL(literal, import.meta.url)` is what both Node and Vite resolve; Vite needs each literal spelled out.
const FILES = {
  'plain-own': new URL('./wasm/plain-own.wasm', import.meta.url),
  'plain-shared': new URL('./wasm/plain-shared.wasm', import.meta.url),
  'relaxed-own': new URL('./wasm/relaxed-own.wasm', import.meta.url),
  'relaxed-shared': new URL('./wasm/relaxed-shared.wasm', import.meta.url),
} as const;

/** Fetches and compiles one kernel module; a compiled module can be sent to a worker. */
export async function loadKernelModule(set: KernelSet, shared: boolean): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readBytes(FILES[`${set}-${shared ? 'shared' : 'own'}`]));
}

export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  // The sources cannot abort (no allocation, no bounds checks); the import exists because the compiler emits it.
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory,
      abort: () => {
        throw new Error('wasm-simd: kernel aborted');
      },
    },
  });
  return instance.exports as unknown as Kernels;
}

async function readBytes(url: URL): Promise<BufferSource> {
  if (url.protocol === 'file:') {
    const { readFile } = process.getBuiltinModule('node:fs/promises');
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`wasm-simd: cannot load ${url.href}: HTTP ${response.status}`);
  return response.arrayBuffer();
}
