"""Supervised fine-tuning of the small model on traces whose measured hard steps stand inside the tag pair."""

import argparse
import json
import random
from pathlib import Path

import torch

from .checkpoints import open_model
from .drills import drill, learned_from
from .packing import Example, batch
from .problems import Problem, Step
from .scratchpad import marked, prompt, trace
from .tokenizer import CLOSE, OPEN, load
from .training_loop import Trainer

ROWS = 20
SPAN_WEIGHT = 0.1
"""Inside a span the large model writes. A little loss there keeps the close tag improbable before its place without
spending the small model's capacity on sums it will never write."""
UNMARKED_SHARE = 0.2
"""Traces without tags among the problems: with the open tag banned the model still answers as it did before."""
PROBLEM_SHARE = 0.75


def read(path: Path) -> list[tuple[Problem, dict[int, str]]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(Problem(row["question"], tuple(Step(*s) for s in row["steps"])), {int(i): t for i, t in row["spans"].items()}) for row in rows]


def weights_of(solution: list[int]) -> list[float]:
    """1 for each token the small model writes, the tags included; SPAN_WEIGHT between them."""
    weights, inside = [], False
    for token in solution:
        inside = inside and token != CLOSE
        weights.append(SPAN_WEIGHT if inside else 1.0)
        inside = inside or token == OPEN
    return weights


class Text:
    def __init__(self, labelled, seed: int):
        self.labelled, self.r, self.tokenizer = labelled, random.Random(seed), load()

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def problem(self) -> Example:
        p, spans = self.r.choice(self.labelled)
        plain = self.r.random() < UNMARKED_SHARE
        question = self.encode(prompt(p.question))
        solution = self.encode(trace(p, False) if plain else marked(p, spans))
        return question + solution, [0.0] * len(question) + weights_of(solution)

    def drill(self) -> Example:
        text = drill(self.r, "small")
        ids, known = self.encode(text), len(self.encode(text[:learned_from(text)]))
        return ids, [0.0] * known + [1.0] * (len(ids) - known)

    def batch(self):
        return batch(ROWS, self.problem, self.drill, PROBLEM_SHARE, self.r)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("init", type=Path, help="the small model: a checkpoint of pretraining, or an exported folder")
    parser.add_argument("labelled", type=Path, help="the file that disagreement wrote")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--peak", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = open_model(options.init, "small").train()
    trainer = Trainer(model, options.checkpoint, options.minutes, options.peak, flat=0.3, warmup=20)
    text = Text(read(options.labelled), options.seed + trainer.step)
    trainer.run(lambda used: text.batch())
    print(f"{trainer.step} steps, {trainer.tokens} tokens, {trainer.used / 60:.1f} minutes")


if __name__ == "__main__":
    main()
