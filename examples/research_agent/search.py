"""Find the paragraphs of the library that mention one term, and where they are."""

import json
import sys
from pathlib import Path

import thinking

from titan.sdk import current

(term,) = sys.argv[1:]
me = current()
found = []
for page in json.loads(me.client.store_get(f"research/{me.run}/library")):
    name, digest = page.split("=")
    text = Path(me.client.fetch_artifact(digest, name)).read_text()
    found += [
        [name, line, text] for line, text in thinking.paragraphs(text) if term in text.lower()
    ]
me.set_output(found[: thinking.PASSAGES_MAX])
print(f"{term}: {len(found)} passages")
