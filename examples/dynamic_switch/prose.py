"""The branch for everything else: its first line, and how long it takes to read."""

import sys
from pathlib import Path

from titan.sdk import current

text = Path(current().client.fetch_artifact(sys.argv[1], "file")).read_text()
print(f"begins: {text.splitlines()[0]}")
print(f"{len(text.split())} words")
