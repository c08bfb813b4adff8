"""The tokenizer and the chat template as they are shipped."""

import random

import pytest
from baton_training.problems import make
from baton_training.scratchpad import prompt, trace
from baton_training.tokenizer import SPECIAL, load, packaged, train

TOKENIZER = load()


@pytest.mark.parametrize("text", [
    "Mia has 47 boxes.", "héllo wörld", "emoji 🧠🎈👩‍🚀", "日本語 العربية", "tabs\tand\r\nlines\n\n  spaces  ", "a\u0000b", "1234567890 12*34=408.",
    "<bigmodel>1+1=2.</bigmodel>\n",
])
def test_any_text_round_trips(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_special_tokens_are_single_ids():
    for i, token in enumerate(SPECIAL):
        assert TOKENIZER.encode(token).ids == [i]


def test_digits_and_operators_stand_alone():
    tokens = TOKENIZER.encode("is 47*36=1692.\n").tokens
    assert tokens[-10:] == ["*", "3", "6", "=", "1", "6", "9", "2", ".", "Ċ"]


def test_problems_are_short_in_tokens():
    r = random.Random(2)
    lengths = [len(TOKENIZER.encode(prompt(p.question) + trace(p, True)).ids) for p in (make(r) for _ in range(300))]
    assert sum(lengths) / 300 < 150 and max(lengths) <= 257


def test_the_chat_template_renders_the_training_prompt():
    render = packaged().apply_chat_template
    ask = [{"role": "user", "content": "How many?"}]
    assert render(ask, tokenize=False, add_generation_prompt=True) == prompt("How many?")
    talk = [{"role": "system", "content": "Be brief."}, *ask, {"role": "assistant", "content": "<think>\nx.\n</think>\n4"}, *ask]
    assert render(talk, tokenize=False, add_generation_prompt=True).endswith("<|end|>\n" + prompt("How many?"))


def test_training_a_tokenizer_keeps_the_special_ids(tmp_path):
    made = train(tmp_path / "t.json", problems=200)
    assert [made.token_to_id(t) for t in SPECIAL] == list(range(8))
