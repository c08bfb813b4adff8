"""Rows of fixed length, packed with whole examples; each token has a weight in the loss."""

import random
from collections.abc import Callable

import torch

LENGTH = 256
"""Tokens a row; the longest solved problem takes 251."""

Example = tuple[list[int], list[float]]


def row(problem: Callable[[], Example], drill: Callable[[], Example], share: float, r: random.Random) -> Example:
    """Fills LENGTH + 1 tokens: examples are whole problems with probability `share`, else drills; drills fill the rest."""
    ids: list[int] = []
    weights: list[float] = []
    while True:
        new, w = problem() if r.random() < share else drill()
        if len(ids) + len(new) > LENGTH + 1:
            if len(new) > 60 and LENGTH + 1 - len(ids) > 20:
                share = 0.0
                continue
            break
        ids += new
        weights += w
    gap = LENGTH + 1 - len(ids)
    return ids + [0] * gap, weights + [0.0] * gap


def batch(rows: int, problem, drill, share: float, r: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    made = [row(problem, drill, share, r) for _ in range(rows)]
    return torch.tensor([ids for ids, _ in made]), torch.tensor([weights for _, weights in made])
