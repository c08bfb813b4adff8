"""The held-out problems: 500 to report on and 200 to tune on, kept in packages/eval/tasks and never trained on.

A question of small numbers and few choices ("Mia is 12 years old ...") comes up again in a long enough training run. Those
that recur within five million draws, about a hundred times what one model trains on, are left out of both sets
(`recurring.json` lists them), and training drops the rest by name. The first part of each shipped model's pretraining ran
before that drop was in place; a fresh million draws held 8 of the 700, so in its 40 thousand problems 0.3 are expected.
Leaving out what recurs makes the sets a little harder: 74 % of the questions have a long product, against 66 % of all.
"""

import json
import random
from functools import cache
from pathlib import Path

from .problems import make

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "eval" / "tasks"
RECURRING = Path(__file__).with_name("recurring.json")
SETS = {"arithmetic": (500, 20_261_124), "arithmetic-dev": (200, 20_261_125)}
"""Problems and seed of each set; training uses small seeds."""
RECURRENCE_SEED, RECURRENCE_DRAWS = 99, 5_000_000


def recurring() -> frozenset[str]:
    return frozenset(json.loads(RECURRING.read_text())) if RECURRING.exists() else frozenset()


@cache
def _drawn() -> dict[str, list[dict]]:
    seen = set(recurring())
    sets = {}
    for name, (count, seed) in SETS.items():
        r = random.Random(seed)
        rows = []
        while len(rows) < count:
            p = make(r)
            if p.question not in seen:
                seen.add(p.question)
                rows.append({"id": f"{name}-{len(rows) + 1:03}", "question": p.question, "answer": str(p.answer)})
        sets[name] = rows
    return sets


def draw() -> dict[str, list[dict]]:
    """Both sets anew, without one question twice."""
    return _drawn()


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


@cache
def reserved() -> frozenset[str]:
    """The questions that training must not see."""
    return frozenset(row["question"] for rows in draw().values() for row in rows)


def find_recurring() -> None:
    """Lists the candidates for the held-out sets that RECURRENCE_DRAWS other draws contain."""
    candidates: set[str] = set()
    for count, seed in SETS.values():
        r = random.Random(seed)
        # Half as many again as the set needs: the ones left out are replaced from further on in the same stream.
        candidates |= {make(r).question for _ in range(count + count // 2)}
    r = random.Random(RECURRENCE_SEED)
    found = {q for q in (make(r).question for _ in range(RECURRENCE_DRAWS)) if q in candidates}
    RECURRING.write_text(json.dumps(sorted(found), indent=1) + "\n")


def main() -> None:
    find_recurring()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, rows in draw().items():
        (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
