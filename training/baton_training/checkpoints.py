"""Opens a model for inference from a training checkpoint (.pt) or an exported folder."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from .shapes import build


def open_model(path: Path, size: str):
    if path.is_dir():
        return AutoModelForCausalLM.from_pretrained(path).eval()
    model = build(size)
    model.load_state_dict(torch.load(path, weights_only=True)["model"])
    return model.eval()
