"""Runs onnx's checker with full, strict shape inference over every graph in the given compiled folders."""
import sys
from pathlib import Path

import onnx

count = 0
for folder in sys.argv[1:]:
    for file in sorted(Path(folder).glob("*.onnx")):
        onnx.checker.check_model(str(file), full_check=True)
        model = onnx.shape_inference.infer_shapes(onnx.load(file, load_external_data=False), check_type=True,
                                                  strict_mode=True, data_prop=True)
        for value in [*model.graph.value_info, *model.graph.output]:
            shape = value.type.tensor_type.shape
            assert all(d.HasField("dim_value") for d in shape.dim), f"{file}: {value.name} is not static"
            assert len(shape.dim) <= 4, f"{file}: {value.name} has rank {len(shape.dim)}"
        count += 1
print(f"{count} graphs are valid")
