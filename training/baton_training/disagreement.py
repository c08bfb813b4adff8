"""Labels the hard steps of fresh problems by measurement: a step is marked where the two models' greedy results differ.

Each step is put to both models with the true solution so far, each in its own hand, up to the equals sign. Nothing here
looks at the kind of operation; it is only counted for the statistics.
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

import torch

from .checkpoints import open_model
from .greedy import greedy
from .heldout import reserved
from .problems import Problem, make
from .scratchpad import heads, is_long, prompt, worked
from .tokenizer import CLOSE, OPEN, load


def result_of(text: str) -> str:
    """The last number of a step's text: what follows its last equals sign, without the period."""
    return text.rstrip("\n").removesuffix(".").rsplit("=", 1)[-1]


def kind_of(step) -> str:
    return "long *" if is_long(step) else step.op


def label(problems: list[Problem], small, large) -> tuple[list[dict[int, str]], dict]:
    """For each problem, the spans to mark (step index -> the large model's text); and the statistics by operation."""
    tokenizer = load()
    newline = tokenizer.token_to_id("Ċ")
    places, for_small, for_large = [], [], []
    for i, p in enumerate(problems):
        direct = written = prompt(p.question)
        for j, (head, step) in enumerate(zip(heads(p), p.steps)):
            places.append((i, j))
            for_small.append(tokenizer.encode(direct + head).ids)
            for_large.append(tokenizer.encode(written + head).ids)
            direct += f"{head}{step.result}.\n"
            written += f"{head}{worked(step)}.\n"
    decode = lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
    by_small = [decode(t) for t in greedy(small, for_small, [newline], 10, banned=[OPEN, CLOSE])]
    by_large = [decode(t) for t in greedy(large, for_large, [newline], 48)]
    spans: list[dict[int, str]] = [{} for _ in problems]
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (i, j), a, b in zip(places, by_small, by_large):
        step = problems[i].steps[j]
        truth, told_small, told_large = str(step.result), result_of(a), result_of(b)
        marked = told_small != told_large and told_large == truth and b.endswith(".\n")
        if marked:
            spans[i][j] = b.removesuffix(".\n")
        for name, holds in (("steps", True), ("small right", told_small == truth), ("large right", told_large == truth),
                            ("disagree", told_small != told_large), ("marked", marked)):
            counts[kind_of(step)][name] += holds
    return spans, {kind: dict(c) for kind, c in sorted(counts.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("out", type=Path, help="JSONL: one problem a line, with its spans")
    parser.add_argument("--statistics", type=Path, required=True)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=4242)
    options = parser.parse_args()
    torch.set_num_threads(1)
    r, problems = random.Random(options.seed), []
    while len(problems) < options.problems:
        p = make(r)
        if p.question not in reserved():
            problems.append(p)
    spans, counts = label(problems, open_model(options.small, "small"), open_model(options.large, "large"))
    with options.out.open("w") as file:
        for p, s in zip(problems, spans):
            steps = [[t.phrase, t.a, t.op, t.b] for t in p.steps]
            file.write(json.dumps({"question": p.question, "steps": steps, "spans": s}) + "\n")
    options.statistics.write_text(json.dumps({"problems": len(problems), "seed": options.seed, "by_operation": counts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
