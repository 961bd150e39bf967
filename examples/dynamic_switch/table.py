"""The branch for tables: columns, and the range of those that hold numbers."""

import csv
import sys
from pathlib import Path

from titan.sdk import current

path = Path(current().client.fetch_artifact(sys.argv[1], "file"))
rows = list(csv.DictReader(path.read_text().splitlines()))
for column in rows[0]:
    values = [row[column] for row in rows]
    numbers = sorted(float(value) for value in values if value.replace(".", "", 1).isdigit())
    span = (
        f"{numbers[0]:g} to {numbers[-1]:g}" if numbers else f"{len(set(values))} different values"
    )
    print(f"{column}: {span}")
