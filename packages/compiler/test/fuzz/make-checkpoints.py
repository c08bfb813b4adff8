"""Makes random checkpoints in odd shapes, of every family, with reference logits from Hugging Face transformers.

    python make-checkpoints.py OUT [COUNT] [SEED] [FAMILY]

What a fixture pins down with one example is drawn here: head widths apart from hidden / heads, one key-value head or as
many as heads, odd vocabularies, widths that no group of 32 divides, tied or not, biases, windows (also wider than the
context), layer types, every scaling of rotary positions, both dialects of config.json, one file or many, mixed dtypes. Each
folder is a checkpoint as somebody would publish it plus ids.json (the prompt) and reference.bin (f32 logits,
[tokens][vocab]). run.ts compiles and compares them.
"""
import json
import math
import random
import shutil
import sys
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "phi3", "gemma2", "gemma3_text", "smollm3", "olmo2"]
TOKENS = 37
MAX_POSITIONS = 256


def rope_scaling(r, kind, dims):
    """Fields of rope_parameters besides rope_theta."""
    kinds = ["default", "default", "linear", "yarn"]
    kinds += {"phi3": ["longrope"] * 4, "llama": ["llama3"] * 3 + ["dynamic"]}.get(kind, ["llama3"])
    chosen = r.choice(kinds)
    if chosen == "default":
        return dict(rope_type="default")
    factor = r.choice([2.0, 3.5, 8.0])
    if chosen in ("linear", "dynamic"):
        return dict(rope_type=chosen, factor=factor)
    original = r.choice([16, 32, 64])
    if chosen == "llama3":
        return dict(rope_type="llama3", factor=factor, low_freq_factor=1.0, high_freq_factor=r.choice([2.0, 4.0]),
                    original_max_position_embeddings=original)
    if chosen == "yarn":
        extra = r.choice([{}, {}, dict(beta_fast=16.0, beta_slow=2.0), dict(attention_factor=1.2),
                          dict(mscale=0.8, mscale_all_dim=0.6), dict(truncate=False)])
        return dict(rope_type="yarn", factor=MAX_POSITIONS / original, original_max_position_embeddings=original, **extra)
    growing = [1.0 + i * r.random() for i in range(dims // 2)]
    return dict(rope_type="longrope", short_factor=[1.0 + 0.1 * x for x in growing], long_factor=growing)


def draw(r, kind):
    heads = r.choice([1, 2, 3, 4, 5, 6, 8])
    kv_heads = r.choice([k for k in range(1, heads + 1) if heads % k == 0])
    head_dim = r.choice([4, 6, 8, 10, 12, 16, 18, 24, 32])
    apart = r.random() < 0.6
    hidden = r.choice([36, 40, 44, 50, 60, 66, 72, 90, 96, 100]) if apart else heads * head_dim
    c = dict(
        hidden_size=hidden, intermediate_size=r.choice([50, 64, 70, 77, 90, 100, 112, 131, 160]),
        num_hidden_layers=r.choice([1, 2, 3, 4]), num_attention_heads=heads, num_key_value_heads=kv_heads,
        vocab_size=r.choice([97, 101, 128, 131, 173, 257, 300]), max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=r.random() < 0.5, rms_norm_eps=r.choice([1e-6, 1e-5]),
        bos_token_id=1, eos_token_id=r.choice([2, [2, 3]]), pad_token_id=0)
    if apart or kind in ("qwen3", "gemma2", "gemma3_text"):
        c["head_dim"] = head_dim
    layers = c["num_hidden_layers"]
    if kind in ("llama", "qwen3", "gemma2", "gemma3_text", "smollm3", "olmo2"):
        c["attention_bias"] = r.random() < 0.4
    if kind in ("llama", "smollm3"):
        c["mlp_bias"] = r.random() < 0.4
    if kind not in ("gemma2", "gemma3_text"):
        c["hidden_act"] = r.choice(["silu", "silu", "silu", "gelu", "gelu_pytorch_tanh", "gelu_new"])
    else:
        c["hidden_activation"] = r.choice(["gelu_pytorch_tanh", "gelu_pytorch_tanh", "gelu"])
    if kind in ("qwen2", "qwen3") and r.random() < 0.6:
        c.update(use_sliding_window=True, sliding_window=r.choice([5, 9, 16, 200]), max_window_layers=r.randint(0, layers))
    if kind == "mistral":
        c["sliding_window"] = r.choice([None, 7, 19, 200])
    if kind == "phi3":
        c["sliding_window"] = r.choice([None, 11, 200])
    if kind in ("gemma2", "gemma3_text"):
        c.update(sliding_window=r.choice([6, 12, 200]), query_pre_attn_scalar=r.choice([head_dim, 24, 144]))
        c["attn_logit_softcapping"] = r.choice([None, 5.0, 50.0])
        c["final_logit_softcapping"] = r.choice([None, 4.0, 30.0])
        if r.random() < 0.5:
            c["layer_types"] = [r.choice(["sliding_attention", "full_attention"]) for _ in range(layers)]
    if kind == "smollm3":
        c["no_rope_layers"] = [r.randint(0, 1) for _ in range(layers)]
        if r.random() < 0.5:
            c.update(use_sliding_window=True, sliding_window=8,
                     layer_types=[r.choice(["sliding_attention", "full_attention"]) for _ in range(layers)])
    dims = c.get("head_dim", hidden // heads)
    theta = r.choice([1e4, 5e5])
    if kind == "gemma3_text":
        c["rope_parameters"] = dict(
            full_attention=dict(rope_theta=theta, **r.choice([dict(rope_type="default"), dict(rope_type="linear", factor=8.0)])),
            sliding_attention=dict(rope_type="default", rope_theta=1e4))
    else:
        partial = {}
        if kind == "phi3" and dims >= 8 and r.random() < 0.6:
            rotated = r.choice([d for d in range(4, dims + 1, 2)])
            partial, dims = dict(partial_rotary_factor=rotated / dims), rotated
        rope = rope_scaling(r, kind, dims)
        if rope["rope_type"] == "longrope":
            c["original_max_position_embeddings"] = r.choice([16, 32])
        c["rope_parameters"] = dict(rope_theta=theta, **rope, **partial)
    return c


def randomise(model, generator):
    gemma = "gemma" in model.config.model_type
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            p.data = (0.0 if gemma else 1.0) + 0.3 * noise
        elif p.ndim == 1:
            p.data = 0.3 * noise
        elif "embed_tokens" in name:
            p.data = (0.1 if gemma else 0.7) * noise
        else:
            p.data = 1.3 * noise / math.sqrt(p.shape[1])
    model.tie_weights()


def older_dialect(config, r):
    """config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    # transformers reads Gemma 3's older "type" as no scaling at all.
    gemma = "full_attention" in rope
    if gemma:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    if (partial := rope.pop("partial_rotary_factor", None)) is not None:
        config["partial_rotary_factor"] = partial
    config["rope_scaling"] = None if kind == "default" else {"rope_type" if gemma else r.choice(["type", "rope_type"]): kind, **rope}
    config["torch_dtype"] = config.pop("dtype")
    if config["model_type"] in ("qwen2", "qwen3"):
        config.pop("layer_types", None)


def valid_config(r, kind):
    """Some configuration classes refuse what their networks could do, such as widths that heads do not divide."""
    while True:
        try:
            return AutoConfig.for_model(kind, **draw(r, kind))
        except (StrictDataclassError, KeyError):
            continue


def make(folder, kind, seed):
    r = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    config = valid_config(r, kind)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    randomise(model, generator)
    dtype = r.choice([torch.float32, torch.bfloat16, torch.float16])
    model.to(dtype).save_pretrained(folder, max_shard_size=r.choice(["5GB", "60KB"]))
    if r.random() < 0.3:
        # Some tensors of another type, as merges and adapters leave them.
        for file in folder.glob("*.safetensors"):
            tensors = load_file(file)
            for name in tensors:
                if "norm" in name or r.random() < 0.2:
                    tensors[name] = tensors[name].to(torch.float32)
            save_file(tensors, file, metadata={"format": "pt"})
    path = folder / "config.json"
    written = json.loads(path.read_text())
    if r.random() < 0.5:
        older_dialect(written, r)
        path.write_text(json.dumps(written, indent=2) + "\n")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = [r.randrange(config.vocab_size) for _ in range(TOKENS)]
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].numpy().astype("<f4")
    (folder / "ids.json").write_text(json.dumps(ids))
    (folder / "reference.bin").write_bytes(logits.tobytes())


if __name__ == "__main__":
    out = Path(sys.argv[1])
    count, seed = int(sys.argv[2]) if len(sys.argv) > 2 else 27, int(sys.argv[3]) if len(sys.argv) > 3 else 1
    for i in range(count):
        kind = sys.argv[4] if len(sys.argv) > 4 else FAMILIES[i % len(FAMILIES)]
        folder = out / f"{i:03}-{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder, kind, 1000 * seed + i)
        print(folder.name, flush=True)
