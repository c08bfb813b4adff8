"""Scores the pair on held-out problems, greedily: the small model alone, the large one alone, and the relay of both."""

import argparse
import json
import re
from pathlib import Path
from statistics import mean, median

import torch

from .checkpoints import open_model
from .greedy import greedy
from .heldout import SETS, read
from .relay import TOTAL, relay
from .scratchpad import prompt
from .tokenizer import CLOSE, EOS, OPEN, load

STEP = re.compile(r" is (\d+)([-+*/])(\d+)=(?:[^\n]*=)?(?:<bigmodel>)?(\d+)\.")


def boxed(text: str) -> str:
    found = re.findall(r"\\boxed\{(\d+)\}", text)
    return found[-1] if found else ""


def step_accuracy(texts: list[str]) -> dict[str, dict[str, int]]:
    """Of the steps as the traces state them: how many there are of each kind, and how many state a right result."""
    counts: dict[str, dict[str, int]] = {}
    for a, op, b, result in (found for text in texts for found in STEP.findall(text)):
        a, b = int(a), int(b)
        kind = "long *" if op == "*" and a > 9 and b > 9 else op
        right = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b and a % b == 0 else None}[op] == int(result)
        entry = counts.setdefault(kind, {"steps": 0, "right": 0})
        entry["steps"] += 1
        entry["right"] += right
    return dict(sorted(counts.items()))


def evaluate(small, large, rows: list[dict]) -> tuple[dict, list[dict]]:
    """The figures of the three arms, and each question's three texts."""
    tokenizer = load()
    prompts = [tokenizer.encode(prompt(row["question"])).ids for row in rows]
    decode = lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
    alone = {
        "small": [decode(t) for t in greedy(small, prompts, [EOS], TOTAL, banned=[OPEN, CLOSE])],
        "large": [decode(t) for t in greedy(large, prompts, [EOS], TOTAL, banned=[OPEN, CLOSE])],
    }
    runs = relay(small, large, prompts)
    texts = {**alone, "relay": [decode(r.written) for r in runs]}
    figures: dict = {}
    for arm, outputs in texts.items():
        right = sum(boxed(t) == row["answer"] for t, row in zip(outputs, rows))
        figures[arm] = {"right": right, "of": len(rows), "accuracy": right / len(rows), "steps": step_accuracy(outputs)}
    written, kept = sum(len(r.written) for r in runs), sum(r.from_large for r in runs)
    small_right, large_right, relay_right = (figures[a]["right"] for a in ("small", "large", "relay"))
    figures["relay"] |= {
        "offload_ratio": kept / written,
        "offload_ratio_mean": mean(r.ratio for r in runs), "offload_ratio_median": median(r.ratio for r in runs),
        "tokens": written, "tokens_kept_from_large": kept, "tokens_discarded": sum(r.discarded for r in runs),
        "hand_offs": sum(r.hand_offs for r in runs),
        "closed_gap": (relay_right - small_right) / (large_right - small_right) if large_right != small_right else None,
    }
    traces = [{"id": row["id"], "answer": row["answer"], **{a: texts[a][i] for a in texts}} for i, row in enumerate(rows)]
    return figures, traces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=list(SETS), default="arithmetic-dev")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--traces", type=Path, help="also write every text, as JSONL")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(options.set)[:options.limit]
    figures, traces = evaluate(open_model(options.small, "small"), open_model(options.large, "large"), rows)
    options.out.write_text(json.dumps({"set": options.set, **figures}, indent=2) + "\n")
    if options.traces:
        options.traces.write_text("".join(json.dumps(t) + "\n" for t in traces))
    for arm in ("small", "large", "relay"):
        print(arm, figures[arm])


if __name__ == "__main__":
    main()
