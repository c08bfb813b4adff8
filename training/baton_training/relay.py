"""The relay, simulated for many questions at once: who writes which token, and what the large model wrote in vain.

The small model writes until its open tag. The large model continues the same text without tags. The small model then
reads the large one's tokens in one pass, and control returns at the first place where the close tag is its likeliest
next token.
"""

from dataclasses import dataclass, field

import torch

from .greedy import greedy
from .tokenizer import CLOSE, EOS, OPEN, PAD

TOTAL, SPAN = 224, 64
"""Tokens at most, in all (tags included) and from the large model at one hand-off; a written-out long product takes 20 to 38, 33 on average."""


@dataclass
class Run:
    """One question's trace in ids, and its accounts in tokens."""

    prompt: list[int]
    written: list[int] = field(default_factory=list)
    from_large: int = 0
    discarded: int = 0
    hand_offs: int = 0

    @property
    def open(self) -> bool:
        return bool(self.written) and self.written[-1] == OPEN

    @property
    def ratio(self) -> float:
        return self.from_large / max(1, len(self.written))


@torch.no_grad()
def close_at(small, context: list[list[int]], spans: list[list[int]]) -> list[int]:
    """For each span the number of its tokens to keep: up to the first place where the close tag is likeliest, else all."""
    width = max(len(c) + len(s) for c, s in zip(context, spans))
    ids = torch.tensor([c + s + [PAD] * (width - len(c) - len(s)) for c, s in zip(context, spans)])
    best = small(input_ids=ids).logits.argmax(-1)
    kept = []
    for row, c, s in zip(best, context, spans):
        hits = (row[len(c):len(c) + len(s)] == CLOSE).nonzero()
        kept.append(int(hits[0]) + 1 if len(hits) else len(s))
    return kept


def relay(small, large, prompts: list[list[int]]) -> list[Run]:
    runs = [Run(p) for p in prompts]
    active = runs
    while active:
        left = [TOTAL - len(r.written) for r in active]
        pieces = greedy(small, [r.prompt + r.written for r in active], [EOS, OPEN], max(left), banned=[CLOSE])
        for run, piece, most in zip(active, pieces, left):
            run.written += piece[:most]
        # A hand-off takes a token and the close tag.
        active = [r for r in active if r.open and len(r.written) + 2 <= TOTAL]
        if not active:
            break
        left = [min(SPAN, TOTAL - len(r.written) - 1) for r in active]
        without_tags = [r.prompt + [t for t in r.written if t not in (OPEN, CLOSE)] for r in active]
        spans = [s[:most] for s, most in zip(greedy(large, without_tags, [EOS], max(left)), left)]
        keep = close_at(small, [r.prompt + r.written for r in active], spans)
        for run, span, count in zip(active, spans, keep):
            run.written += span[:count] + [CLOSE]
            run.from_large += count
            run.discarded += len(span) - count
            run.hand_offs += 1
        active = [r for r in active if len(r.written) < TOTAL]
    return runs
