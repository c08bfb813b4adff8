"""Runs onnx's checker and its shape inference, full and strict, over every graph in the given compiled folders.

    python check-graphs.py FOLDER...

What is checked: structure (names, order, single assignment, types, external data that exists), every operator of the
standard domain against its schema of the declared opset, and inferred shapes: constant, rank at most 4, and those that the
graph declares for its outputs. onnx knows no contrib operator; the one that the fused lowering uses gets a schema here,
written from ONNX Runtime's docs/ContribOperators.md (com.microsoft.MatMulNBits), so that its attributes and the shapes of
its inputs are checked too and inference goes on behind it. Any other contrib operator is an error.
"""
import sys
from pathlib import Path

import onnx
from onnx.defs import OpSchema
from onnx.shape_inference import InferenceContext, InferenceError

CONTRIB = "com.microsoft"


def dims(kind):
    return [d.dim_value for d in kind.tensor_type.shape.dim]


def infer_matmul_nbits(context: InferenceContext):
    k, n, bits, block = (context.get_attribute(a).i for a in ("K", "N", "bits", "block_size"))
    x, weight, scales = (context.get_input_type(i) for i in range(3))
    blocks = -(-k // block)
    expected = [n, blocks, block * bits // 8]
    if bits not in (2, 4, 8) or block < 16 or block & (block - 1):
        raise InferenceError(f"MatMulNBits: {bits} bits in blocks of {block}")
    if dims(x)[-1] != k or dims(weight) != expected or dims(scales) not in ([n * blocks], [n, blocks]):
        raise InferenceError(f"MatMulNBits: {dims(x)} times {dims(weight)} (not {expected}), scales {dims(scales)}")
    result = onnx.TypeProto()
    result.tensor_type.elem_type = x.tensor_type.elem_type
    for d in [*dims(x)[:-1], n]:
        result.tensor_type.shape.dim.add().dim_value = d
    context.set_output_type(0, result)


def register():
    integers = {name: True for name in ("K", "N", "bits", "block_size")} | {"accuracy_level": False}
    schema = OpSchema(
        "MatMulNBits", CONTRIB, 1,
        inputs=[OpSchema.FormalParameter("A", "T1"), OpSchema.FormalParameter("B", "T2"),
                OpSchema.FormalParameter("scales", "T1")],
        outputs=[OpSchema.FormalParameter("Y", "T1")],
        type_constraints=[("T1", ["tensor(float)", "tensor(float16)"], ""), ("T2", ["tensor(uint8)"], "")],
        attributes=[OpSchema.Attribute(name, OpSchema.AttrType.INT, "", required=needed)
                    for name, needed in integers.items()])
    schema.set_type_and_shape_inference_function(infer_matmul_nbits)
    onnx.defs.register_schema(schema)


def check(file):
    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file, load_external_data=False)
    contrib = {n.op_type for n in model.graph.node if n.domain == CONTRIB}
    assert contrib <= {"MatMulNBits"}, f"{file}: unknown operators {contrib}"
    declared = {v.name: dims(v.type) for v in model.graph.output}
    # What onnx infers itself is compared with what the graph says.
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name: v.type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in inferred.graph.node:
        for name in node.output:
            assert name in known, f"{file}: {name} ({node.op_type}) has no inferred shape"
    for name, kind in known.items():
        shape = kind.tensor_type.shape
        assert kind.tensor_type.HasField("shape"), f"{file}: {name} has no inferred shape"
        assert all(d.HasField("dim_value") for d in shape.dim), f"{file}: {name} is not static"
        assert len(shape.dim) <= 4, f"{file}: {name} has rank {len(shape.dim)}"
    for name, shape in declared.items():
        assert dims(known[name]) == shape, f"{file}: {name} is {dims(known[name])}, declared {shape}"


if __name__ == "__main__":
    register()
    files = [file for folder in sys.argv[1:] for file in sorted(Path(folder).glob("*.onnx"))]
    for file in files:
        check(file)
    print(f"{len(files)} graphs are valid")
