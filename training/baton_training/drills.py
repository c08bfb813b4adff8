"""Single steps as training text: a short string and the place where the part to be learned begins.

Drills are dense in digits, so single operations are learned from a tenth of the tokens that whole problems would take.
"""

import random

from .problems import Step, easy_pair, hard_pair
from .scratchpad import worked


def easy(r: random.Random) -> str:
    """Sums and differences of up to four digits with up to two, the tables, and their divisions."""
    kind = r.random()
    if kind < 0.36:
        a, b = r.choice([r.randint(10, 999), r.randint(100, 9999)]), r.randint(2, 99)
        return f" is {a}+{b}={a + b}.\n"
    if kind < 0.72:
        b = r.randint(2, 99)
        a = b + r.choice([r.randint(1, 99), r.randint(1, 999), r.randint(100, 9800)])
        return f" is {a}-{b}={a - b}.\n"
    a, b = easy_pair(r)
    return f" is {a}*{b}={a * b}.\n" if kind < 0.86 else f" is {a * b}/{b}={a}.\n"


def drill(r: random.Random, size: str) -> str:
    """The small model gets no long products: it meets them only inside problems. With drills on
    them a 0.5 M model learned 85 % of all two-digit products by heart within 24 M tokens, and there was nothing to hand off.
    """
    if size == "small":
        return easy(r)
    kind = r.random()
    if kind < 0.60:
        a, b = hard_pair(r)
        text = worked(Step("", a, "*", b))
        # A quarter shows the sums alone, without the factors that name them.
        return f" is {a}*{b}={text}.\n" if kind < 0.45 else "=" + text.split("=", 1)[1] + ".\n"
    if kind < 0.936:
        return easy(r)
    x, y = 10 ** r.randint(0, 1), 10 ** r.randint(0, 1)
    a, b = r.randint(1, 9), r.randint(1, 9)
    return f"+{a * x * b * y}+{a * b}={a * x * b * y + a * b}.\n"


def learned_from(text: str) -> int:
    """Characters of context: all up to and including the first equals sign that has something before it."""
    return text.find("=", 1) + 1
