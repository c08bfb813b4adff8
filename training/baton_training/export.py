"""Writes a checkpoint as a Hugging Face folder, and the logits that other runtimes compare themselves with."""

import argparse
import json
from pathlib import Path

import torch
from transformers import Qwen3ForCausalLM

from .scratchpad import prompt, trace
from .shapes import build
from .tokenizer import CHAT_TEMPLATE, EOS, PAD, load, packaged

PARITY_POSITIONS = (0, 1, 17, 50, -1)


def write_folder(model: Qwen3ForCausalLM, folder: Path) -> None:
    """config.json, model.safetensors (f32), generation_config.json (greedy), the tokenizer and the chat template."""
    model.generation_config.do_sample = False
    model.generation_config.eos_token_id = EOS
    model.generation_config.pad_token_id = PAD
    model.float().save_pretrained(folder)
    packaged().save_pretrained(folder)
    # transformers now keeps the template in its own file only; older readers look in tokenizer_config.json.
    settings = folder / "tokenizer_config.json"
    content = json.loads(settings.read_text())
    content["chat_template"] = CHAT_TEMPLATE
    content["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    # Readers older than transformers 5 look for the rotary base at the top level.
    settings = folder / "config.json"
    content = json.loads(settings.read_text())
    content["rope_theta"] = content["rope_parameters"]["rope_theta"]
    settings.write_text(json.dumps(content, indent=2) + "\n")
    (folder / "model.safetensors").chmod(0o644)


def parity(model: Qwen3ForCausalLM) -> dict:
    """About 100 token ids of a solved problem, and full f32 logits at a few positions."""
    import random

    from .problems import make

    r = random.Random(31)
    problem = make(r)
    while len(problem.steps) < 4:
        problem = make(r)
    ids = load().encode(prompt(problem.question) + trace(problem, True)).ids[:110]
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([ids])).logits[0]
    positions = [p % len(ids) for p in PARITY_POSITIONS]
    return {"ids": ids, "positions": positions, "logits": [[round(v, 6) for v in logits[p].tolist()] for p in positions]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=["small", "large"])
    parser.add_argument("checkpoint", type=Path, help="a .pt file of pretrain or finetune")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parity", type=Path, help="also write the parity fixture here")
    options = parser.parse_args()
    model = build(options.size)
    model.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True)["model"])
    write_folder(model, options.folder)
    if options.parity:
        options.parity.parent.mkdir(parents=True, exist_ok=True)
        options.parity.write_text(json.dumps(parity(model)) + "\n")


if __name__ == "__main__":
    main()
