"""The byte-level BPE tokenizer that both demo models share, and the chat template.

Every digit is a token of its own and operators never merge with digits, so that place value is in the positions. The
eight special tokens come first, which fixes their ids for good.
"""

import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .problems import make
from .scratchpad import trace

SPECIAL = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<think>", "</think>", "<bigmodel>", "</bigmodel>"]
PAD, USER, ASSISTANT, EOS, THINK, END_THINK, OPEN, CLOSE = range(8)

FILE = Path(__file__).resolve().parent.parent / "tokenizer" / "tokenizer.json"
"""Kept in the repository: a tokenizer trained again gives words other ids, and trained weights would no longer fit it. (This one
was trained before the two five-step templates and the second wordings came in, so a few of their words are two tokens.)"""

# No text of a message is trimmed or dropped. A system message stands before the first user mark, where it does no harm
# to a model that never saw one. An assistant message written so far may hold its own think block.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\\n' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ '<|assistant|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{%- else -%}{{ '<|user|>\\n' + message['content'] + '\\n' }}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n<think>\\n' }}{%- endif -%}"
)


def train(path: Path, seed: int = 1, problems: int = 20_000, vocabulary: int = 704) -> Tokenizer:
    """Learns merges from solved problems and writes `path`. 704 = 8 special + 256 bytes + 440 merges: nearly every
    word of the templates becomes one token, about 44 tokens a question."""
    r = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex(r"[-+*/=.,\n]"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    corpus = (
        f"{p.question}\n{trace(p, True).replace('</think>', '').replace('<|end|>', '')}"
        for p in (make(r) for _ in range(problems))
    )
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return tokenizer


def load() -> Tokenizer:
    return Tokenizer.from_file(str(FILE))


def packaged() -> PreTrainedTokenizerFast:
    """The tokenizer as transformers saves it, with the chat template."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_file=str(FILE), eos_token=SPECIAL[EOS], pad_token=SPECIAL[PAD],
        additional_special_tokens=[s for i, s in enumerate(SPECIAL) if i not in (PAD, EOS)],
        clean_up_tokenization_spaces=False, model_max_length=1024,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


if __name__ == "__main__":
    print(train(FILE).get_vocab_size(), "tokens")
