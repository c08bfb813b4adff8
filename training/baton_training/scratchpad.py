"""How a solution is written down: the prompt, the step lines, and the two ways of writing a result.

The small model writes a result directly. The large model writes a long product as four elementary products and then
adds them in two places, so that no digit depends on more than a few others.
"""

from .problems import Problem, Step

OPENERS = ("First", "Then", "Next", "After that", "At last")
OPEN, CLOSE, END = "<bigmodel>", "</bigmodel>", "<|end|>"


def is_long(step: Step) -> bool:
    """A product of two numbers of two digits or more, the one operation that the large model writes out."""
    return step.op == "*" and step.a > 9 and step.b > 9


def worked(step: Step) -> str:
    """The large model's result text: `47*36` gives `1200+240+210+42=1440+252=1640+52=1692`."""
    if not is_long(step):
        return str(step.result)
    tens_a, ones_a = step.a // 10 * 10, step.a % 10
    tens_b, ones_b = step.b // 10 * 10, step.b % 10
    x, y = tens_a * tens_b + tens_a * ones_b, ones_a * tens_b + ones_a * ones_b
    parts = f"{tens_a * tens_b}+{tens_a * ones_b}+{ones_a * tens_b}+{ones_a * ones_b}={x}+{y}"
    # With y >= 100 its hundreds go over first: a sum that carries into two places at once is what failed most often.
    carried = f"={x + y // 100 * 100}+{y % 100}" if y >= 100 else ""
    return f"{parts}{carried}={x + y}"


def heads(problem: Problem) -> list[str]:
    """Each step's text up to and including its equals sign."""
    return [f"{OPENERS[i]}, {s.phrase} is {s.a}{s.op}{s.b}=" for i, s in enumerate(problem.steps)]


def prompt(question: str) -> str:
    """The text the chat template renders for one user message with the generation prompt."""
    return f"<|user|>\n{question}\n<|assistant|>\n<think>\n"


def closing(answer: int) -> str:
    return f"</think>\nThe answer is \\boxed{{{answer}}}.{END}"


def trace(problem: Problem, written_out: bool) -> str:
    """The whole solution, from after `<think>` to the end token; `written_out` chooses the large model's hand."""
    results = [worked(s) if written_out else str(s.result) for s in problem.steps]
    return "".join(h + t + ".\n" for h, t in zip(heads(problem), results)) + closing(problem.answer)


def marked(problem: Problem, spans: dict[int, str]) -> str:
    """The trace with the steps in `spans` (index -> the large model's text up to its period) inside the tag pair."""
    lines = [
        h + (f"{OPEN}{spans[i]}.{CLOSE}\n" if i in spans else f"{s.result}.\n")
        for i, (h, s) in enumerate(zip(heads(problem), problem.steps))
    ]
    return "".join(lines) + closing(problem.answer)
