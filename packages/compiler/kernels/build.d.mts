export const OUTPUT: string;
export function buildKernel(): Promise<string>;
