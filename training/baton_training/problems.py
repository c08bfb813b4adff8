"""Arithmetic word problems: seventeen templates, each of which draws numbers, names, objects and wordings and returns the
question with its solution steps.

A step is one exact integer operation with a phrase that names its result. Numbers are drawn so that exactly one kind of
step is hard: the product of two two-digit numbers. Everything else stays within the tables or adds or subtracts
at most two digits (sums of two products excepted), because the small model is meant to manage those.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """`phrase` names what is computed; `a op b` computes it (op is one of + - * /, division exact)."""

    phrase: str
    a: int
    op: str
    b: int

    @property
    def result(self) -> int:
        return {"+": self.a + self.b, "-": self.a - self.b, "*": self.a * self.b, "/": self.a // self.b}[self.op]


@dataclass(frozen=True)
class Problem:
    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        return self.steps[-1].result


NAMES = "Mia Noah Emma Liam Ava Leo Zoe Max Lily Omar Ivy Theo Nora Sam Ruth Hugo Ella Finn Anna Paul".split()
PACKED = [
    ("pens", "boxes"), ("apples", "crates"), ("cookies", "trays"), ("books", "shelves"), ("eggs", "cartons"),
    ("marbles", "bags"), ("stickers", "packs"), ("candles", "boxes"), ("oranges", "baskets"), ("tiles", "stacks"),
    ("seeds", "packets"), ("cards", "decks"),
]
GOODS = "shirts lamps chairs plates radios clocks jackets bottles toys brushes kites hats".split()

HARD_FACTOR_SHARE = 0.8
"""Share of products drawn with two two-digit factors; measured over 3000 problems this gives 0.66 hard steps per problem."""


def hard_pair(r):
    return r.randint(12, 99), r.randint(12, 99)


def easy_pair(r):
    return r.randint(2, 9), r.randint(2, 9)


def factor(r):
    """Two factors: mostly two digits each, else a fact of the tables."""
    return hard_pair(r) if r.random() < HARD_FACTOR_SHARE else easy_pair(r)


def less(r, n):
    """A subtrahend of at most two digits that leaves at least 1 of n."""
    return r.randint(2, max(2, min(99, n - 2)))


def packs(r):
    n, (x, box) = r.choice(NAMES), r.choice(PACKED)
    a, b = factor(r)
    s = less(r, a * b)
    verb = r.choice(["gives away", "sells", "loses", "uses"])
    q = r.choice([
        f"{n} has {a} {box} of {x}. There are {b} {x} in each of the {box}. {n} {verb} {s} {x}. How many {x} are left?",
        f"{n} buys {a} {box} with {b} {x} in each and then {verb} {s} {x}. How many {x} does {n} still have?",
    ])
    return q, [Step(f"the number of {x} in all the {box}", a, "*", b), Step(f"the number of {x} left", a * b, "-", s)]


def shop(r):
    x, y = r.sample(GOODS, 2)
    (a, b), (c, d) = factor(r), easy_pair(r)
    q = r.choice([
        f"A shop sells {a} {x} for {b} dollars each and {c} {y} for {d} dollars each. How many dollars does the shop take in?",
        f"{a} {x} are sold at {b} dollars each, and {c} {y} are sold at {d} dollars each. How much money is that in dollars?",
    ])
    return q, [
        Step(f"the money for the {x}", a, "*", b),
        Step(f"the money for the {y}", c, "*", d),
        Step("the money taken in", a * b, "+", c * d),
    ]


def savings(r):
    n, u = r.choice(NAMES), r.choice(["week", "month", "day"])
    a, b = factor(r)
    s = r.randint(5, 99)
    e = less(r, a * b + s)
    q = f"{n} has {s} dollars and saves {b} dollars every {u} for {a} {u}s. Then {n} spends {e} dollars. How many dollars does {n} have now?"
    return q, [
        Step(f"the money saved in {a} {u}s", a, "*", b),
        Step("the money before spending", a * b, "+", s),
        Step("the money now", a * b + s, "-", e),
    ]


def share(r):
    n, (x, _) = r.choice(NAMES), r.choice(PACKED)
    (d, k), s, m = easy_pair(r), r.randint(2, 60), r.randint(2, 40)
    start = d * k + s
    q = f"{n} has {start} {x} and keeps {s} of them. The other {x} are shared equally by {d} friends. One friend already had {m} {x}. How many {x} does that friend have now?"
    return q, [
        Step(f"the number of {x} to share", start, "-", s),
        Step("the share of each friend", d * k, "/", d),
        Step(f"the number of {x} that friend has", k, "+", m),
    ]


def garden(r):
    n, w = r.choice(NAMES), r.choice(["trees", "roses", "tulips", "bushes", "carrots"])
    a, b = factor(r)
    c = less(r, a * b)
    m = c % 7 + 2
    q = f"{n} plants {a} rows of {w} with {b} {w} in each row. Rabbits eat {c} of them, and {n} plants {m} more. How many {w} are there?"
    return q, [
        Step(f"the number of {w} planted", a, "*", b),
        Step(f"the number of {w} after the rabbits", a * b, "-", c),
        Step(f"the number of {w} in the end", a * b - c, "+", m),
    ]


def trip(r):
    n, v = r.choice(NAMES), r.choice(["drives", "cycles", "rides"])
    (a, b), (c, d) = factor(r), easy_pair(r)
    q = f"{n} {v} {b} miles a day for {a} days and then walks {d} miles a day for {c} days. How many miles is that?"
    return q, [
        Step("the distance of the first part", a, "*", b),
        Step("the distance on foot", c, "*", d),
        Step("the whole distance", a * b, "+", c * d),
    ]


def seats(r):
    p = r.choice(["theater", "stadium", "school hall", "cinema", "church"])
    a, b = factor(r)
    k = less(r, a * b)
    q = r.choice([
        f"A {p} has {a} rows of {b} seats. {k} seats are empty. How many people are in the {p}?",
        f"There are {a} rows with {b} seats each in a {p}, and {k} seats are empty. How many people sit in the {p}?",
    ])
    return q, [Step("the number of seats", a, "*", b), Step("the number of people", a * b, "-", k)]


def wages(r):
    n, m = r.sample(NAMES, 2)
    a, b = factor(r)
    c = r.randint(5, 95)
    q = r.choice([
        f"{n} works {a} hours for {b} dollars an hour. {m} earns {c} dollars more than {n}. How many dollars does {m} earn?",
        f"{m} earns {c} dollars more than {n}, who works {a} hours for {b} dollars an hour. How much does {m} earn in dollars?",
    ])
    return q, [Step(f"the pay of {n}", a, "*", b), Step(f"the pay of {m}", a * b, "+", c)]


def ages(r):
    n, m, k = r.sample(NAMES, 3)
    a, b = r.randint(4, 40), r.randint(2, 30)
    c = r.randint(2, min(20, a + b - 1))
    q = f"{n} is {a} years old. {m} is {b} years older than {n}. {k} is {c} years younger than {m}. How old is {k}?"
    return q, [Step(f"the age of {m}", a, "+", b), Step(f"the age of {k}", a + b, "-", c)]


def factory(r):
    x = r.choice(GOODS)
    a, b = factor(r)
    bad = less(r, a * b)
    q = r.choice([
        f"A factory makes {b} {x} an hour and runs for {a} hours. {bad} of the {x} are broken. How many good {x} are made?",
        f"A factory runs for {a} hours and makes {b} {x} an hour, but {bad} of the {x} are broken. How many {x} are good?",
    ])
    return q, [Step(f"the number of {x} made", a, "*", b), Step(f"the number of good {x}", a * b, "-", bad)]


def restock(r):
    n, (x, box) = r.choice(NAMES), r.choice(PACKED)
    (a, b), (c, d) = hard_pair(r), easy_pair(r)
    s = min(less(r, c * d), c * d - 1)
    q = f"{n} has {c} {box} with {d} {x} in each of the {box}. {n} eats or breaks {s} {x} and then buys {a} {box} with {b} {x} in each. How many {x} are there?"
    return q, [
        Step(f"the number of {x} at first", c, "*", d),
        Step(f"the number of {x} after that", c * d, "-", s),
        Step(f"the number of {x} bought", a, "*", b),
        Step(f"the number of {x} in the end", a * b, "+", c * d - s),
    ]


def teams(r):
    p = r.choice(["children", "players", "students", "dancers"])
    (d, k), c = easy_pair(r), r.randint(2, 9)
    a = r.randint(1, d * k - 1)
    q = f"{a} {p} and {d * k - a} more {p} form {d} equal teams. Each team gets {c} new members. How many {p} are in each team?"
    return q, [
        Step(f"the number of {p}", a, "+", d * k - a),
        Step("the size of a team at first", d * k, "/", d),
        Step("the size of a team now", k, "+", c),
    ]


def rent(r):
    n = r.choice(NAMES)
    (a, b), (c, d) = factor(r), easy_pair(r)
    both = a * b + c * d
    e = r.randint(2, min(99, both - 1))
    q = f"{n} rents a boat for {a} days at {b} dollars a day and buys {c} nets for {d} dollars each. A coupon takes off {e} dollars. How many dollars does {n} pay?"
    return q, [
        Step("the price of the boat", a, "*", b),
        Step("the price of the nets", c, "*", d),
        Step("the price of both", a * b, "+", c * d),
        Step("the price after the coupon", both, "-", e),
    ]


def library(r):
    a, b = factor(r)
    c, d, e = less(r, a * b), r.randint(2, 99), r.randint(2, 20)
    q = f"A library has {a} shelves with {b} books each. {c} books are lent out, {d} come back, and {e} new ones are bought. How many books are in the library?"
    return q, [
        Step("the number of books on the shelves", a, "*", b),
        Step("the number of books after lending", a * b, "-", c),
        Step("the number after some come back", a * b - c, "+", d),
        Step("the number of books now", a * b - c + d, "+", e),
    ]


def bake(r):
    n = r.choice(NAMES)
    (d, k), (a, b) = easy_pair(r), factor(r)
    q = f"{n} puts {d * k} cookies equally on {d} plates. Every plate also gets {b} sweets from each of {a} jars. How many cookies and sweets are on a plate?"
    return q, [
        Step("the number of cookies on a plate", d * k, "/", d),
        Step("the number of sweets on a plate", a, "*", b),
        Step("the number of things on a plate", a * b, "+", k),
    ]


def farm(r):
    n, w = r.choice(NAMES), r.choice(["eggs", "apples", "oranges", "seeds"])
    (d, k), (a, b), m = easy_pair(r), factor(r), r.randint(2, 40)
    s = less(r, a * b)
    q = f"{n} puts {d * k} {w} equally into {d} bags and adds {m} {w} to the first bag. {n} also fills {a} boxes with {b} {w} each, but {s} of these break. How many {w} are in the boxes and the first bag?"
    return q, [
        Step(f"the number of {w} in a bag", d * k, "/", d),
        Step(f"the number of {w} in the first bag", k, "+", m),
        Step(f"the number of {w} put in the boxes", a, "*", b),
        Step(f"the number of {w} left in the boxes", a * b, "-", s),
        Step(f"the number of {w} in the end", a * b - s, "+", k + m),
    ]


def party(r):
    n, x = r.choice(NAMES), r.choice(GOODS)
    (a, b), (c, d), e = factor(r), easy_pair(r), r.randint(5, 95)
    both = a * b + c * d
    f = r.randint(2, min(99, both + e - 1))
    q = f"For a party {n} buys {a} {x} at {b} dollars each and {c} cakes at {d} dollars each. The music costs {e} dollars more, and the school pays {f} dollars of it all. How many dollars does {n} pay?"
    return q, [
        Step(f"the price of the {x}", a, "*", b),
        Step("the price of the cakes", c, "*", d),
        Step("the price of both", a * b, "+", c * d),
        Step("the price with the music", both, "+", e),
        Step(f"the money that {n} pays", both + e, "-", f),
    ]


TEMPLATES = (packs, shop, savings, share, garden, trip, seats, wages, ages, factory, restock, teams, rent, library, bake, farm, party)


def make(r: random.Random) -> Problem:
    """One problem with two to five steps, every number positive and every division exact."""
    while True:
        question, steps = r.choice(TEMPLATES)(r)
        if all(s.result >= 1 and s.a >= 1 and s.b >= 1 and (s.op != "/" or s.a % s.b == 0) for s in steps):
            return Problem(question, tuple(steps))
