"""Add up what the mappers counted, and keep the summary."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter

import words

from titan.sdk import TitanClient


def main() -> None:
    run = os.environ["TITAN_RUN_ID"]
    client = TitanClient()
    total: Counter[str] = Counter()
    for number in range(1, int(sys.argv[1]) + 1):
        total.update(words.unpack(client.store_get(words.key(run, f"counts-{number}"))))
    result = words.summary(total)
    client.store_put(words.key(run, "result"), json.dumps(result))
    for word, count in result["top"]:
        print(f"{count:>8} {word}")
    print(f"{result['words']} words, {result['distinct']} of them distinct")


if __name__ == "__main__":
    main()
