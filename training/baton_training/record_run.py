"""Adds one finished stage to results/training-runs.json; steps, tokens and minutes are read from its checkpoint."""

import argparse
import json
from pathlib import Path

import torch

FILE = Path(__file__).resolve().parents[1] / "results" / "training-runs.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=["small", "large"])
    parser.add_argument("stage", help="the stage's name in the model card; a stage of that name is replaced")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--command", required=True, help="what made it, as a reader would type it")
    parser.add_argument("--note", default="", help="what a reader must know to repeat it")
    options = parser.parse_args()
    saved = torch.load(options.checkpoint, weights_only=True, map_location="cpu")
    runs = json.loads(FILE.read_text()) if FILE.exists() else {"small": [], "large": []}
    stages = [s for s in runs[options.size] if s["stage"] != options.stage]
    stages.append({"stage": options.stage, "steps": saved["step"], "tokens": saved["tokens"], "minutes": round(saved["seconds"] / 60, 1),
                   "seed": options.seed, "command": options.command, "note": options.note})
    FILE.write_text(json.dumps({**runs, options.size: stages}, indent=2) + "\n")


if __name__ == "__main__":
    main()
