// The face of the compiler's benchmark (Node only).
export {
  benchCompile,
  type BenchCompile,
  type BenchCompileOptions,
  type CompileFigures,
  type CompileRun,
} from './bench-compile.ts';
export { SHAPES as COMPILE_SHAPES, type ShapeName as CompileShape } from './random-checkpoint.ts';
