"""Count the words of the text."""

import re
from collections import Counter
from pathlib import Path

from titan.sdk import current

found = re.findall(r"[a-z]+", Path("text.txt").read_text().lower())
counts = Counter(word for word in found if len(word) > 6)
current().set_output({"words": len(found), "long": counts.most_common(3)})
