"""Writes both model cards; every figure in them comes from training/results and from the models' own files."""

import argparse
import json
from pathlib import Path

from safetensors import safe_open

HERE = Path(__file__).resolve().parents[1]


def parameters(folder: Path) -> int:
    with safe_open(folder / "model.safetensors", "pt") as file:
        total = 0
        for name in file.keys():
            count = 1
            for side in file.get_slice(name).get_shape():
                count *= side
            total += count
    return total


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def step_table(figures: dict) -> str:
    rows = [f"| `{kind}` | {c['right']} of {c['steps']} | {percent(c['right'] / c['steps'])} |" for kind, c in figures["steps"].items()]
    return "\n".join(["| step | right | share |", "|---|---|---|", *rows])


def pair_table(figures: dict) -> str:
    relay = figures["relay"]
    lines = ["| arm | right | accuracy |", "|---|---|---|"]
    lines += [f"| {name} | {figures[arm]['right']} of {figures[arm]['of']} | {percent(figures[arm]['accuracy'])} |"
              for arm, name in (("small", "demo-small alone, `<bigmodel>` banned"), ("large", "demo-large alone"), ("relay", "relay of both"))]
    lines += ["", f"The relay kept {relay['tokens_kept_from_large']} of {relay['tokens']} generated tokens from the large model "
              f"({percent(relay['offload_ratio'])}), discarded {relay['tokens_discarded']} more, handed off {relay['hand_offs']} times, "
              f"and closed {percent(relay['closed_gap'])} of the gap between the two models."]
    return "\n".join(lines)


def training_table(stages: list[dict]) -> str:
    lines = ["| stage | steps | tokens | minutes on one busy CPU core | seed | command |", "|---|---|---|---|---|---|"]
    lines += [f"| {s['stage']} | {s['steps']} | {s['tokens'] / 1e6:.1f} M | {s['minutes']:.0f} | {s['seed']} | `{s['command']}` |" for s in stages]
    return "\n".join(lines + [""] + [f"{s['stage']}: {s['note']}" for s in stages if s["note"]])


def seeds(seed: int | list[int]) -> str:
    return f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}"


def disagreement_table(statistics: dict) -> str:
    lines = ["| step | steps | small right | large right | disagree | marked |", "|---|---|---|---|---|---|"]
    lines += [f"| `{kind}` | {c['steps']} | {c['small right']} | {c['large right']} | {c['disagree']} | {c['marked']} |"
              for kind, c in statistics["by_operation"].items()]
    return "\n".join(lines)


def card(size: str, folder: Path, figures: dict, runs: dict, statistics: dict) -> str:
    count = parameters(folder)
    role = {
        "small": "It reads the question, plans the steps and does the easy ones. It is bad at multiplying two two-digit numbers, and says so: "
                 "there it writes `<bigmodel>`, and another model takes over until it sees where to write `</bigmodel>`.",
        "large": "It solves the whole problem itself and writes long products out in parts (`47*36=1200+240+210+42=1440+252=1640+52=1692`). "
                 "In a relay it continues the small model's trace.",
    }[size]
    marks = f"""
## Where the offload marks come from
Each step of {statistics['problems']} fresh problems ({seeds(statistics['seed'])}) was put to both models. A step is marked where their greedy results differ
and the large model is right; nothing looks at the kind of step. By kind it came to:

{disagreement_table(statistics)}
""" if size == "small" else ""
    return f"""---
license: apache-2.0
language: en
pipeline_tag: text-generation
tags: [arithmetic, from-scratch, offloading]
---
# demo-{size}
One of Baton's demo pair: a Qwen3 model of {count / 1e6:.2f} M parameters, trained from scratch on arithmetic word problems. {role}

## What it can and cannot do
English word problems with two to five steps in the wordings of seventeen templates (`training/baton_training/problems.py`): + and - on up to
four digits with at most two (sums of two products excepted), x of two factors up to two digits, exact division within the tables. Other wordings, larger numbers and anything that is not such
a problem are outside what it learned; it will answer, and be wrong.

## Figures
{figures['small']['of']} held-out problems (`packages/eval/tasks/arithmetic.jsonl`), greedy, f32, by `python -m baton_training.evaluate`:

{pair_table(figures)}

This model alone, by kind of step (`long *`: both factors have two digits):

{step_table(figures[size])}
{marks}
## Training
Data: problems and drills drawn by the generator (see `heldout.py` for how the held-out questions are kept apart). Tokens count row places, padding included. The schedule runs on the wall clock; steps and tokens are what it came to.

{training_table(runs[size])}

Reproduce: `training/README.md` holds the commands in order.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="the folder with demo-small and demo-large")
    options = parser.parse_args()
    read = lambda name: json.loads((HERE / "results" / name).read_text())
    figures, runs, statistics = read("evaluation.json"), read("training-runs.json"), read("disagreement.json")
    for size in ("small", "large"):
        folder = options.models / f"demo-{size}"
        (folder / "README.md").write_text(card(size, folder, figures, runs, statistics))


if __name__ == "__main__":
    main()
