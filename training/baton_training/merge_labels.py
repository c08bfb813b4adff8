"""Joins the files that several runs of disagreement wrote, one seed each, and adds up their statistics."""

import argparse
import json
from pathlib import Path


def add(parts: list[dict]) -> dict:
    """The statistics of all parts together; `seed` becomes the list of theirs."""
    total: dict[str, dict[str, int]] = {}
    for part in parts:
        for kind, counts in part["by_operation"].items():
            sums = total.setdefault(kind, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                sums[name] += count
    return {"problems": sum(p["problems"] for p in parts), "seed": [p["seed"] for p in parts], "by_operation": dict(sorted(total.items()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", type=Path, help="written: all labelled problems")
    parser.add_argument("statistics", type=Path, help="written: their statistics")
    parser.add_argument("--part", type=Path, nargs=2, action="append", required=True, metavar=("LABELLED", "STATISTICS"))
    options = parser.parse_args()
    options.labelled.write_text("".join(labelled.read_text() for labelled, _ in options.part))
    statistics = add([json.loads(path.read_text()) for _, path in options.part])
    options.statistics.write_text(json.dumps(statistics, indent=2) + "\n")


if __name__ == "__main__":
    main()
