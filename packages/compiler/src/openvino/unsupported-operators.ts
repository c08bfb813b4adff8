// Which operators of a graph OpenVINO's ONNX frontend would refuse, found before anything is given to a device: its own
// refusal comes minutes into a compilation, and names a node instead of the operator.
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from '../onnx/gen/onnx_pb.js';
import { OPENVINO_CONTRIB, OPENVINO_OPERATORS } from './operator-table.ts';

/** Names of operators in the ONNX file `model` that the table lacks, each once, with their domain where it is not ONNX's own. */
export function unsupportedByOpenvino(model: Uint8Array): string[] {
  const unknown = new Set<string>();
  for (const { opType, domain } of fromBinary(ModelProtoSchema, model).graph?.node ?? []) {
    if (domain === '' || domain === 'ai.onnx') {
      if (!Object.hasOwn(OPENVINO_OPERATORS, opType)) unknown.add(opType);
    } else if (domain !== 'com.microsoft' || !OPENVINO_CONTRIB.includes(opType)) {
      unknown.add(`${domain}.${opType}`);
    }
  }
  return [...unknown];
}
