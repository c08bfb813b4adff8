// What can be known about a graph before a device sees it: operators that OpenVINO does not read, and ports that
// openvino-node cannot pass.
import { RuntimeError, type TargetId } from '@baton/runtime';
import { unsupportedByOpenvino, type Manifest, type ModelFiles } from '@baton/compiler';

/** Throws `target-unavailable` naming graph, operator or port, and what to compile instead. */
export async function requireReadable(
  target: TargetId,
  manifest: Manifest,
  files: ModelFiles,
): Promise<void> {
  for (const graph of manifest.graphs) {
    const half = [...graph.inputs, ...graph.outputs].find((p) => p.dtype === 'f16');
    if (half)
      throw new RuntimeError(
        'target-unavailable',
        `${target}: ${graph.file} has the half-precision port ${half.name}, which openvino-node cannot pass; compile with --weights f32, int8 or int4`,
      );
    const unknown = unsupportedByOpenvino(await files.read(graph.file));
    if (unknown.length > 0)
      throw new RuntimeError(
        'target-unavailable',
        `${target}: ${graph.file} uses ${unknown.join(', ')}, which OpenVINO does not read; compile with --target portable`,
      );
  }
}
