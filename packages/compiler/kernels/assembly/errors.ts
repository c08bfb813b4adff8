// AssemblyScript, not TypeScript. What the last conversion lost: sums of squares, read by the host after a call.

let squaredError: f64 = 0;
let squaredSum: f64 = 0;

export function lastSquaredError(): f64 {
  return squaredError;
}

export function lastSquaredSum(): f64 {
  return squaredSum;
}

export function report(error: f64, sum: f64): void {
  squaredError = error;
  squaredSum = sum;
}

export function add(error: f32, sum: f32): void {
  squaredError += error;
  squaredSum += sum;
}
