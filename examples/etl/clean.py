"""Make rows comparable, and drop what cannot be used: saying which, and why."""

import json
import sys
from pathlib import Path


def customer(row: dict[str, str]) -> dict[str, object]:
    name, country = row["name"].strip(), row["country"].strip().upper()
    return {"id": int(row["id"]), "name": name, "country": country or "unknown"}


def order(row: dict[str, str]) -> dict[str, object]:
    cents = round(float(row["amount"]) * 100)
    return {
        "id": int(row["order"]),
        "customer": int(row["customer"]),
        "cents": cents,
        "currency": row["currency"],
    }


kind = sys.argv[1]
read = {"customers": customer, "orders": order}[kind]
kept: dict[object, dict[str, object]] = {}
for row in json.loads(Path(f"{kind}.json").read_text()):
    try:
        clean = read(row)
    except ValueError as why:
        print(f"dropped {row}: {why}")
        continue
    if clean["id"] in kept:
        print(f"dropped {row}: seen before")
    kept[clean["id"]] = clean
Path(f"clean-{kind}.json").write_text(json.dumps(list(kept.values())))
print(f"{len(kept)} {kind}")
