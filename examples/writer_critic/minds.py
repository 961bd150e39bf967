"""What writer and critic think with: a model, else rules. The critic's rules hold for both."""

import re

import model

WORDS_MAX = 60
MUST = ("pipelines", "Raft", "leader")


def criticise(draft: str) -> list[str]:
    """What is wrong with a draft; [] when nothing is."""
    complaints = [f"it says nothing of: {word}" for word in MUST if word not in draft]
    words = len(draft.split())
    if words > WORDS_MAX:
        complaints.append(f"{words} words are too many, it may have {WORDS_MAX}")
    if not complaints:
        answer = model.ask(f"Is this summary clear? Answer OK, or one complaint.\n\n{draft}")
        if answer is not None and not answer.strip().upper().startswith("OK"):
            complaints.append(answer.strip())
    return complaints


def write(source: str, draft: str, complaints: list[str]) -> str:
    """A summary of the source; a better one when there was a draft."""
    prompt = f"Summarise this text for newcomers:\n{source}"
    if complaints:
        prompt += f"\n\nThe last draft:\n{draft}\n\nWhat was wrong with it:\n" + "\n".join(
            complaints
        )
    answer = model.ask(prompt)
    return _write(source, draft, complaints) if answer is None else answer.strip()


def _sentences(text: str) -> list[str]:
    prose = re.sub(r"^#.*$|\]\([^)]*\)|[`*\[\]]", "", text, flags=re.MULTILINE)
    return [" ".join(one.split()) for one in re.findall(r"[A-Z][^.]*\.(?=\s)", prose + "\n")]


def _write(source: str, draft: str, complaints: list[str]) -> str:
    """The first sentences; then some about what was missed; then only those that are needed."""
    sentences = _sentences(source)
    if not draft:
        return " ".join(sentences[:2])
    chosen = _sentences(draft)
    for complaint in complaints:
        if complaint.startswith("it says nothing of: "):
            word = complaint.rpartition(": ")[2]
            chosen += [one for one in sentences if word in one and one not in chosen][:1]
        elif "too many" in complaint:
            needed = {next((one for one in chosen if word in one), "") for word in MUST}
            chosen = [one for one in chosen if one in needed]
    return " ".join(chosen)
