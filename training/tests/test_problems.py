"""The generator: every step's arithmetic, every answer, and the held-out sets' distance from training."""

import random

from baton_training.heldout import draw, read, reserved
from baton_training.pretrain import Text
from baton_training.problems import TEMPLATES, make
from baton_training.scratchpad import closing, is_long, trace, worked


def problems(count=2000, seed=3):
    r = random.Random(seed)
    return [make(r) for _ in range(count)]


def value(expression: str) -> int:
    """Evaluates digits with + - * / only."""
    assert set(expression) <= set("0123456789+-*/")
    return eval(expression)  # noqa: S307 - the alphabet was checked


def test_every_equals_sign_in_both_hands_is_true():
    for p in problems():
        for written_out in (False, True):
            for line in trace(p, written_out).split("</think>")[0].strip().split("\n"):
                chain = line.rsplit(" is ", 1)[1].removesuffix(".").split("=")
                assert len({value(side) for side in chain}) == 1, line


def test_steps_lead_to_the_answer_and_use_numbers_that_are_known():
    for p in problems():
        known = {int(w) for w in p.question.replace(".", " ").replace(",", " ").replace("?", " ").split() if w.isdigit()}
        for s in p.steps:
            assert s.a in known and s.b in known, p
            known.add(s.result)
        assert p.answer == p.steps[-1].result and 2 <= len(p.steps) <= 5


def test_at_least_a_dozen_templates_and_about_two_thirds_with_a_long_product():
    assert len(TEMPLATES) >= 12
    share = sum(any(is_long(s) for s in p.steps) for p in problems()) / 2000
    assert 0.6 < share < 0.72


def test_a_written_out_product_ends_in_the_product():
    for a in range(10, 100):
        for b in range(10, 100):
            from baton_training.problems import Step
            assert worked(Step("", a, "*", b)).rsplit("=", 1)[1] == str(a * b)


def test_closing_boxes_the_answer():
    assert closing(42) == "</think>\nThe answer is \\boxed{42}.<|end|>"


def test_committed_sets_are_the_drawn_ones_and_disjoint():
    drawn = draw()
    for name, rows in drawn.items():
        assert read(name) == rows
    first, second = ({row["question"] for row in rows} for rows in drawn.values())
    assert len(first) == 500 and len(second) == 200 and not first & second


def test_training_never_draws_a_held_out_question():
    text = Text("small", seed=0)
    assert all(text.fresh().question not in reserved() for _ in range(3000))
