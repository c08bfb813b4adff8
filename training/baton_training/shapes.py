"""The two models' shapes: Qwen3 (RMSNorm on queries and keys keeps high learning rates stable), tied embeddings.

The head size of 32 gives four and six query heads, with half as many key and value heads.
"""

from transformers import Qwen3Config, Qwen3ForCausalLM

from .tokenizer import EOS, PAD

VOCABULARY = 704

SIZES = {
    # hidden, layers, MLP width: 0.53 M and 2.17 M parameters, embeddings included
    "small": (128, 3, 256),
    "large": (192, 5, 512),
}


def build(size: str) -> Qwen3ForCausalLM:
    """A freshly initialised model; set torch's seed before."""
    hidden, layers, width = SIZES[size]
    return Qwen3ForCausalLM(Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=width,
        num_attention_heads=hidden // 32, num_key_value_heads=hidden // 64, head_dim=32,
        max_position_embeddings=1024, rope_theta=10_000.0, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=EOS, pad_token_id=PAD, attn_implementation="sdpa",
    ))
