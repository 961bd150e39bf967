"""Write the topics of Python's language reference into one file."""

from pathlib import Path
from pydoc_data.topics import topics

text = "\n".join(topics[name] for name in sorted(topics))
Path("text.txt").write_text(text)
print(f"{len(topics)} topics, {len(text)} characters")
