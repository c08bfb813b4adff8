/** Builds all kernel modules; returns file name -> bytes. Throws with the compiler's messages. */
export function buildKernels(): Promise<Map<string, Uint8Array>>;
