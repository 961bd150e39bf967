"""Read one CSV file of `data/` as it is: rows of text."""

import csv
import json
import sys
from pathlib import Path

source = Path("data") / sys.argv[1]
with source.open(newline="") as stream:
    rows = list(csv.DictReader(stream))
Path(source.with_suffix(".json").name).write_text(json.dumps(rows))
print(f"{len(rows)} rows of {source}")
