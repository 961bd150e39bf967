"""Map: the measures of one page, named by its digest."""

import re
import sys
from pathlib import Path

from titan.sdk import current

digest, name = sys.argv[1:]
me = current()
text = Path(me.client.fetch_artifact(digest, name)).read_text()
prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
words = re.findall(r"[A-Za-z]+", prose)
me.set_output({"page": name, "words": len(words), "letters": sum(map(len, words))})
