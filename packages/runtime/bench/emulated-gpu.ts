// Adapters that compute on the CPU what a GPU would: their times say nothing of one, and large models take them minutes.

/** Whether WebGPU's probe names such an adapter. */
export function isEmulated(probeReason: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|basic render|warp/i.test(probeReason);
}
