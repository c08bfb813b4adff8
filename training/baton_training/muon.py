"""Muon in f32 for weight matrices: momentum, then Newton-Schulz steps that bring the update's singular values near 1.

torch.optim.Muon runs Newton-Schulz in bfloat16, for which most CPUs have no fast arithmetic; hence this short one.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The quintic of Keller Jordan's Muon: steep at zero, so that five rounds lift small singular values as well."""


def orthogonalised(gradient: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    a, b, c = COEFFICIENTS
    tall = gradient.size(0) > gradient.size(1)
    x = gradient.T if tall else gradient
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon:
    def __init__(self, matrices: list[torch.nn.Parameter], rate: float, momentum: float = 0.95, decay: float = 0.01):
        self.matrices, self.rate, self.momentum, self.decay = matrices, rate, momentum, decay
        self.averages = [torch.zeros_like(m) for m in matrices]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One Nesterov step at `scale` times the base rate."""
        keep, rate = self.momentum, self.rate * scale
        for matrix, average in zip(self.matrices, self.averages):
            average.mul_(keep).add_(matrix.grad, alpha=1 - keep)
            update = orthogonalised(matrix.grad * (1 - keep) + average * keep)
            matrix.mul_(1 - rate * self.decay)
            matrix.add_(update, alpha=-rate * max(1, matrix.size(0) / matrix.size(1)) ** 0.5)
