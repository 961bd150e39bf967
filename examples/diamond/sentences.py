"""Measure the sentences of the text."""

import re
from pathlib import Path

from titan.sdk import current

sentences = re.findall(r"[A-Z][^.?!]+[.?!]", Path("text.txt").read_text())
longest = max(sentences, key=lambda sentence: len(sentence.split()))
current().set_output({"sentences": len(sentences), "longest": len(longest.split())})
