"""Batched greedy decoding with a KV cache, in token ids."""

import torch

from .tokenizer import PAD


@torch.no_grad()
def greedy(model, prompts: list[list[int]], stops: list[int], limit: int, banned: list[int] = [], rows: int = 100) -> list[list[int]]:
    """Continues each prompt to its first stop token (kept) or by `limit` tokens; `banned` ids are never chosen."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), rows):
        group = order[start:start + rows]
        width = max(len(prompts[i]) for i in group)
        ids = torch.tensor([[PAD] * (width - len(prompts[i])) + prompts[i] for i in group])
        out = model.generate(
            ids, attention_mask=(ids != PAD).long(), max_new_tokens=limit, do_sample=False, eos_token_id=stops, pad_token_id=PAD,
            suppress_tokens=banned or None,
        )
        for i, tokens in zip(group, out[:, width:].tolist()):
            # Past its stop a row is padded while its neighbours go on.
            results[i] = [t for t in tokens if t != PAD]
    return results
