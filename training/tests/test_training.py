"""Training parts that need no long run: the loss falls, spans strip clean, weights lie where they should."""

import random
from pathlib import Path

import torch
from baton_training.checkpoints import open_model
from baton_training.disagreement import label, result_of
from baton_training.finetune import SPAN_WEIGHT, weights_of
from baton_training.heldout import read
from baton_training.merge_labels import add
from baton_training.muon import orthogonalised
from baton_training.pretrain import Text
from baton_training.problems import make
from baton_training.relay import close_at, relay
from baton_training.scratchpad import CLOSE, OPEN, is_long, marked, prompt, trace, worked
from baton_training.shapes import build
from baton_training.tokenizer import load
from baton_training.training_loop import Trainer, scale


def test_twenty_steps_lower_the_loss_and_resume_keeps_the_count(tmp_path):
    torch.manual_seed(0)
    text, model = Text("small", 0), build("small")
    trainer = Trainer(model, tmp_path / "small.pt", minutes=60, warmup=5)
    losses = trainer.run(lambda used: text.batch(0.25), steps=20, compiled=False)
    assert losses[-1] < 0.7 * losses[0]
    again = Trainer(build("small"), tmp_path / "small.pt", minutes=60)
    assert again.step == 20 and again.tokens == trainer.tokens


def test_stripping_the_tags_restores_the_source_byte_for_byte():
    r = random.Random(4)
    for p in (make(r) for _ in range(300)):
        everything = {i: worked(s) for i, s in enumerate(p.steps)}
        assert marked(p, everything).replace(OPEN, "").replace(CLOSE, "") == trace(p, True)
        assert marked(p, {}) == trace(p, False)


def test_span_weights_lie_between_the_tags():
    r = random.Random(5)
    p = next(p for p in (make(r) for _ in range(100)) if any(is_long(s) for s in p.steps))
    spans = {i: worked(s) for i, s in enumerate(p.steps) if is_long(s)}
    tokenizer = load()
    ids = tokenizer.encode(marked(p, spans)).ids
    low = tokenizer.decode([t for t, w in zip(ids, weights_of(ids)) if w == SPAN_WEIGHT])
    assert low == "".join(t + "." for t in spans.values())


def test_labels_come_from_what_the_models_say_and_only_right_text_is_kept():
    torch.manual_seed(0)
    r = random.Random(6)
    problems = [make(r) for _ in range(5)]
    spans, counts = label(problems, build("small").eval(), build("large").eval())
    assert spans == [{}] * 5  # untrained models are never right, so nothing may be marked
    assert sum(c["steps"] for c in counts.values()) == sum(len(p.steps) for p in problems)


def test_result_of_reads_both_hands():
    assert result_of("1692.\n") == result_of("1200+240+210+42=1440+252=1692.\n") == "1692"


def test_hand_back_is_the_first_place_where_the_close_tag_is_likeliest():
    class Fixed:
        def __call__(self, input_ids):
            logits = torch.zeros(*input_ids.shape, 704)
            logits[:, 4, 7] = 9.0
            return type("Out", (), {"logits": logits})

    assert close_at(Fixed(), [[9, 9]], [[9, 9, 9, 9]]) == [3]


def test_a_run_ends_at_the_most_tokens_whoever_writes_them(monkeypatch):
    models = Path(__file__).resolve().parents[2] / "models"
    small, large = open_model(models / "demo-small", "small"), open_model(models / "demo-large", "large")
    prompts = [load().encode(prompt(row["question"])).ids for row in read("arithmetic-dev")[:20]]
    whole = relay(small, large, prompts)
    assert max(len(r.written) for r in whole) > 80 and sum(r.hand_offs for r in whole) > 10
    for most in range(50, 54):
        monkeypatch.setattr("baton_training.relay.TOTAL", most)
        assert max(len(r.written) for r in relay(small, large, prompts)) == most


def test_muon_updates_are_nearly_orthogonal_and_the_schedule_ends_decayed():
    update = orthogonalised(torch.randn(32, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.linalg.svdvals(update).min() > 0.3 and torch.linalg.svdvals(update).max() < 1.5
    assert scale(0.0, 0, 0.5, 100) == 0.01 and scale(0.4, 500, 0.5, 100) == 1.0 and scale(1.0, 500, 0.5, 100) == 0.02


def test_joined_labels_add_up():
    part = lambda seed, right: {"problems": 10, "seed": seed, "by_operation": {"+": {"steps": 20, "small right": right}}}
    other = {"problems": 5, "seed": 3, "by_operation": {"*": {"steps": 4, "small right": 1}}}
    assert add([part(1, 19), part(2, 18), other]) == {
        "problems": 25, "seed": [1, 2, 3],
        "by_operation": {"*": {"steps": 4, "small right": 1}, "+": {"steps": 40, "small right": 37}},
    }
