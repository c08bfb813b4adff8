"""Pretrains one of the two models from scratch on solved problems and drills."""

import argparse
import random
from pathlib import Path

import torch

from .drills import drill, easy, learned_from
from .heldout import reserved
from .packing import Example, batch
from .problems import Step, hard_pair, make
from .scratchpad import prompt, trace, worked
from .shapes import build
from .tokenizer import load
from .training_loop import Trainer

ROWS = 20
PROMPT_WEIGHT = 0.1
"""The questions' tokens count a little: free signal about the words, at a tenth so that digits stay in front."""


class Text:
    """Draws training examples for one size; never a held-out question."""

    def __init__(self, size: str, seed: int):
        self.size, self.r, self.tokenizer, self.held_out = size, random.Random(seed), load(), reserved()

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def fresh(self):
        problem = make(self.r)
        while problem.question in self.held_out:
            problem = make(self.r)
        return problem

    def problem(self) -> Example:
        p = self.fresh()
        question, solution = self.encode(prompt(p.question)), self.encode(trace(p, self.size == "large"))
        return question + solution, [PROMPT_WEIGHT] * len(question) + [1.0] * len(solution)

    def drill(self) -> Example:
        text = drill(self.r, self.size)
        ids = self.encode(text)
        known = len(self.encode(text[:learned_from(text)]))
        return ids, [0.0] * known + [1.0] * (len(ids) - known)

    def batch(self, share: float):
        return batch(ROWS, self.problem, self.drill, share, self.r)


@torch.no_grad()
def drill_accuracy(model, text: Text, count: int = 40) -> dict[str, float]:
    """Share of whole results right under teacher forcing, by kind, on drills of a seed of their own."""
    r = random.Random(5)
    right: dict[str, list[bool]] = {"easy": [], "long product": []}
    for _ in range(count):
        plain = easy(r)
        a, b = hard_pair(r)
        long = f" is {a}*{b}={worked(Step('', a, '*', b)) if text.size == 'large' else a * b}.\n"
        for kind, line in (("easy", plain), ("long product", long)):
            known, ids = len(text.encode(line[:learned_from(line)])), text.encode(line)
            guess = model(input_ids=torch.tensor([ids])).logits[0, known - 1:-1].argmax(-1).tolist()
            right[kind].append(guess == ids[known:])
    return {kind: sum(v) / count for kind, v in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=["small", "large"])
    parser.add_argument("checkpoint", type=Path, help="written every minute; resumed if it exists")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--init", type=Path, help="start from this checkpoint's weights instead of at random")
    parser.add_argument("--peak", type=float, default=1.0, help="scale of both learning rates")
    parser.add_argument("--flat", type=float, default=0.55, help="share of the time before the decay")
    parser.add_argument("--problems", type=float, nargs=2, default=(0.25, 0.5), metavar=("EARLY", "LATE"),
                        help="probability that an example is a problem, in the first 30 %% of the time and after")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = build(options.size)
    if options.init:
        model.load_state_dict(torch.load(options.init, weights_only=True)["model"])
    trainer = Trainer(model, options.checkpoint, options.minutes, options.peak, options.flat)
    text = Text(options.size, 1000 * options.seed + trainer.step)
    trainer.run(lambda used: text.batch(options.problems[used >= 0.3]), lambda: drill_accuracy(model, text))
    print(f"{trainer.step} steps, {trainer.tokens} tokens, {trainer.used / 60:.1f} minutes")


if __name__ == "__main__":
    main()
