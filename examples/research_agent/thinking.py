"""What the agent thinks with: a model if there is one, else counting."""

import math
import re

import model

PASSAGES_MAX = 40  # for each term; an output has room for 64 KiB
SHOWN = 3
SMALL_WORDS = set(
    "a an and are as at be by can do does for from happens has have how i if in is it its my of on "  # noqa: SIM905
    "or that the there this to was what when where which who why will with".split()
)

Passages = list[tuple[str, int, str]]  # page, line, text


def terms(question: str) -> list[str]:
    """What to search for: a few lower-case words."""
    prompt = (
        f"Up to six single words to search for, to answer this, separated by spaces: {question}"
    )
    words = re.findall(r"[a-z]+", (model.ask(prompt) or question).lower())
    return list(dict.fromkeys(word for word in words if word not in SMALL_WORDS))[:6]


def stem(word: str) -> str:
    """The word without its ending, so that more is found."""
    return re.sub(r"(?<=...)(ation|ments?|ingly|ings?|edly|ed|ies|es|s|ly)$", "", word)


def paragraphs(text: str) -> list[tuple[int, str]]:
    """Each paragraph of a page as one line, with the number of its first line."""
    found = []
    for match in re.finditer(r"(?:^.*\S.*\n?)+", text, re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        found.append((line, " ".join(match[0].split())[:600]))
    return found


def answer(question: str, found: dict[str, Passages]) -> str:
    """The best passages, or what a model makes of them."""
    rarity = {term: math.log(1 + PASSAGES_MAX / (1 + len(hits))) for term, hits in found.items()}
    scores: dict[tuple[str, int, str], float] = {}
    for hits in found.values():
        for name, line, text in hits:
            words = text.lower()
            score = sum(rarity[term] for term in found if term in words)
            scores[name, line, text] = score / math.log(20 + len(words.split()))
    best = sorted(scores, key=lambda passage: (-scores[passage], passage))[:SHOWN]
    sources = "\n".join(f"[{name}:{line}] {text}" for name, line, text in best)
    if not best:
        return "nothing was found"
    prompt = f"Answer from these passages only, and name them.\n{question}\n\n{sources}"
    return model.ask(prompt) or sources
