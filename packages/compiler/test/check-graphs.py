"""Runs onnx's checker and its shape inference, full and strict, over every graph in the given compiled folders.

    python check-graphs.py FOLDER...

What is checked: structure (names, order, single assignment, types, external data that exists), every operator of the
standard domain against its schema of the declared opset, and inferred shapes: constant, rank at most 4, and those that the
graph declares for its outputs. onnx knows no contrib operator; those that our lowerings use get schemas here, written from
ONNX Runtime's docs/ContribOperators.md (com.microsoft), so that their attributes and the shapes of their inputs are checked
too and inference goes on behind them. Any other contrib operator is an error.
"""
import sys
from pathlib import Path

import onnx
from onnx.defs import OpSchema
from onnx.shape_inference import InferenceContext, InferenceError

CONTRIB = "com.microsoft"


def dims(kind):
    if kind is None:
        raise InferenceError("an input has no inferred type")
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
    if context.get_num_inputs() > 3 and dims(context.get_input_type(3)) != [n * blocks] and bits == 8:
        raise InferenceError(f"MatMulNBits: zero points {dims(context.get_input_type(3))}, not {[n * blocks]}")
    give(context, 0, [*dims(x)[:-1], n])


def infer_integer_to_float(context: InferenceContext):
    x, weight, scale, scales, zero = (context.get_input_type(i) for i in range(5))
    k, n = dims(weight)
    if dims(x)[-1] != k or dims(scale) or dims(scales) != [n] or dims(zero):
        raise InferenceError(f"MatMulIntegerToFloat: {dims(x)} times {dims(weight)}, scales {dims(scale)} and {dims(scales)}")
    give(context, 0, [*dims(x)[:-1], n])


def infer_grouped_attention(context: InferenceContext):
    query, key, value, past_key, past_value, last, total = (dims(context.get_input_type(i)) for i in range(7))
    heads, kv_heads = (context.get_attribute(a).i for a in ("num_heads", "kv_num_heads"))
    _, rows, width = query
    size = width // heads
    past = [1, kv_heads, past_key[2], size]
    if (size % 8 or size * heads != width or heads % kv_heads or key != [1, rows, kv_heads * size] or value != key
            or past_key != past or past_value != past or last != [1] or total != [1]):
        raise InferenceError(f"GroupQueryAttention: {query}, {key}, {value} over {past_key}, {past_value}; {last}, {total}")
    give(context, 0, query)
    give(context, 1, past)
    give(context, 2, past)


def infer_rotary(context: InferenceContext):
    x, positions, cos, sin = (dims(context.get_input_type(i)) for i in range(4))
    rotated, heads = (context.get_attribute(a) for a in ("rotary_embedding_dim", "num_heads"))
    partial = rotated is not None and rotated.i > 0
    if (positions != x[:2] or cos != sin or cos[0] < x[1]
            or (cos[1] != rotated.i // 2 or heads is None if partial else x[2] % (2 * cos[1]))):
        raise InferenceError(f"RotaryEmbedding: {x} at {positions} with {cos} and {sin}")
    give(context, 0, x)


def give(context: InferenceContext, output, shape):
    """As the first input's type."""
    result = onnx.TypeProto()
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    given = context.get_input_type(0).tensor_type.elem_type
    result.tensor_type.elem_type = given if given in floats else onnx.TensorProto.FLOAT
    for d in shape:
        result.tensor_type.shape.dim.add().dim_value = d
    context.set_output_type(output, result)


FLOATS = ["tensor(float)", "tensor(float16)"]
# Operator: inputs with their types (an optional one with a question mark), outputs, attributes with whether they must be there, and the shapes.
CONTRIB_OPERATORS = {
    "MatMulNBits": (
        {"A": "T", "B": "tensor(uint8)", "scales": "T", "zero_points?": "tensor(uint8)"}, ["Y"],
        {"K": True, "N": True, "bits": True, "block_size": True, "accuracy_level": False}, infer_matmul_nbits),
    "MatMulIntegerToFloat": (
        {"A": "tensor(uint8)", "B": "tensor(int8)", "a_scale": "T", "b_scale": "T", "a_zero_point": "tensor(uint8)"}, ["Y"],
        {}, infer_integer_to_float),
    "GroupQueryAttention": (
        {"query": "T", "key": "T", "value": "T", "past_key": "T", "past_value": "T", "seqlens_k": "tensor(int32)",
         "total_sequence_length": "tensor(int32)"}, ["output", "present_key", "present_value"],
        {"num_heads": True, "kv_num_heads": True, "scale": False, "softcap": False, "local_window_size": False},
        infer_grouped_attention),
    "RotaryEmbedding": (
        {"input": "T", "position_ids": "tensor(int64)", "cos_cache": "T", "sin_cache": "T"}, ["output"],
        {"rotary_embedding_dim": False, "num_heads": False}, infer_rotary),
}
REAL_ATTRIBUTES = {"scale", "softcap"}


def register():
    for name, (inputs, outputs, attributes, infer) in CONTRIB_OPERATORS.items():
        kind, option = OpSchema.AttrType, OpSchema.FormalParameterOption
        schema = OpSchema(
            name, CONTRIB, 1,
            inputs=[OpSchema.FormalParameter(
                i.rstrip("?"), t, param_option=option.Optional if i.endswith("?") else option.Single) for i, t in inputs.items()],
            outputs=[OpSchema.FormalParameter(o, "T") for o in outputs],
            type_constraints=[("T", FLOATS, "")],
            attributes=[OpSchema.Attribute(a, kind.FLOAT if a in REAL_ATTRIBUTES else kind.INT, "", required=needed)
                        for a, needed in attributes.items()])
        schema.set_type_and_shape_inference_function(infer)
        onnx.defs.register_schema(schema)


def check(file):
    model = onnx.load(file, load_external_data=False)
    contrib = {n.op_type for n in model.graph.node if n.domain == CONTRIB}
    assert contrib <= set(CONTRIB_OPERATORS), f"{file}: unknown operators {contrib}"
    onnx.checker.check_model(str(file), full_check=True)
    declared = {v.name: dims(v.type) for v in model.graph.output}
    # What onnx infers itself is compared with what the graph says.
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name: v.type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in inferred.graph.node:
        for name in node.output:
            assert name in known, f"{file}: {name} ({node.op_type}) has no inferred shape"
    # The rows that are asked for are the only number that is not fixed, in graphs that ask for them.
    free = 1 if "picked" in {v.name for v in model.graph.input} else 0
    for name, kind in known.items():
        shape = kind.tensor_type.shape
        assert kind.tensor_type.HasField("shape"), f"{file}: {name} has no inferred shape"
        assert sum(not d.HasField("dim_value") for d in shape.dim) <= free, f"{file}: {name} is not static"
        assert len(shape.dim) <= 4, f"{file}: {name} has rank {len(shape.dim)}"
    for name, shape in declared.items():
        assert dims(known[name]) == shape, f"{file}: {name} is {dims(known[name])}, declared {shape}"


if __name__ == "__main__":
    register()
    files = [file for folder in sys.argv[1:] for file in sorted(Path(folder).glob("*.onnx"))]
    for file in files:
        check(file)
    print(f"{len(files)} graphs are valid")
