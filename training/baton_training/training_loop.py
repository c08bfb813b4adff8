"""The loop that pretraining and fine-tuning share: a schedule by wall clock, Muon and AdamW, checkpoints and resume.

The schedule runs on the clock rather than on steps so that a run ends decayed when its time is up, on any machine;
the steps and tokens it came to are in the log and in the checkpoint.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from .muon import Muon

MATRIX_RATE, OTHER_RATE = 0.02, 0.004
SAVE_EVERY_SECONDS = 60


def scale(fraction: float, step: int, flat: float, warmup: int) -> float:
    """The learning rate's factor: linear warm-up over `warmup` steps, flat until `flat` of the time, then linear to 2 %."""
    decay = 1.0 if fraction < flat else max(0.02, (1 - fraction) / (1 - flat))
    return min(1.0, (step + 1) / warmup) * decay


class Trainer:
    def __init__(self, model, checkpoint: Path, minutes: float, peak: float = 1.0, flat: float = 0.55, warmup: int = 100):
        self.model, self.checkpoint, self.seconds = model, checkpoint, minutes * 60
        self.peak, self.flat, self.warmup = peak, flat, warmup
        matrix = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
        self.muon = Muon(matrix, MATRIX_RATE)
        self.adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.step, self.tokens, self.used = 0, 0, 0.0
        if checkpoint.exists():
            self._resume()

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        if "adam" in saved:
            self.adam.load_state_dict(saved["adam"])
            self.muon.averages = saved["muon"]
        self.step, self.tokens, self.used = saved["step"], saved["tokens"], saved["seconds"]

    def save(self) -> None:
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        half = self.checkpoint.with_suffix(".tmp")
        torch.save({
            "model": self.model.state_dict(), "adam": self.adam.state_dict(), "muon": self.muon.averages,
            "step": self.step, "tokens": self.tokens, "seconds": self.used,
        }, half)
        os.replace(half, self.checkpoint)

    def run(self, next_batch: Callable[[float], tuple[torch.Tensor, torch.Tensor]], report: Callable[[], dict] = dict,
            steps: int | None = None, compiled: bool = True) -> list[float]:
        """Trains until the time (or `steps`) is over; `next_batch` gets the fraction of time used. Returns every step's loss."""
        def weighted_loss(ids, weights):
            logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits
            each = F.cross_entropy(logits.reshape(-1, logits.size(-1)), ids[:, 1:].reshape(-1), reduction="none")
            w = weights[:, 1:].reshape(-1)
            return (each * w).sum() / w.sum()

        loss_of = torch.compile(weighted_loss) if compiled else weighted_loss
        started, saved_at, losses, since = time.time() - self.used, time.time(), [], 0
        while True:
            self.used = time.time() - started
            fraction = self.used / self.seconds
            if fraction >= 1 or (steps is not None and len(losses) >= steps):
                break
            rate = self.peak * scale(fraction, self.step, self.flat, self.warmup)
            ids, weights = next_batch(fraction)
            loss = loss_of(ids, weights)
            loss.backward()
            self.muon.step(rate)
            for group in self.adam.param_groups:
                group["lr"] = OTHER_RATE * rate
            self.adam.step()
            self.model.zero_grad(set_to_none=True)
            self.step += 1
            self.tokens += ids.size(0) * (ids.size(1) - 1)
            losses.append(loss.item())
            if time.time() - saved_at > SAVE_EVERY_SECONDS:
                self.save()
                recent = sum(losses[since:]) / len(losses[since:])
                print(json.dumps({"minutes": round(self.used / 60, 1), "step": self.step, "tokens": self.tokens,
                                  "loss": round(recent, 4), "rate": round(rate, 3), **report()}), flush=True)
                saved_at, since = time.time(), len(losses)
        self.save()
        return losses
