"""The branch for JSON: what is in it."""

import json
import sys
from pathlib import Path

from titan.sdk import current

document = json.loads(Path(current().client.fetch_artifact(sys.argv[1], "file")).read_text())
print(f"a {type(document).__name__} of {len(document)}")
for key in document:
    print(f"  {key}")
