"""Deal the files out to the mappers: the largest first, each to the mapper with the least so far."""

from __future__ import annotations

import json
import os
import sys

import words

from titan.sdk import TitanClient


def deal(names: list[str], hands: int) -> list[list[str]]:
    """`hands` lists of names with about the same number of bytes each."""
    size = {name: (words.LIBRARY / name).stat().st_size for name in names}
    shards: list[list[str]] = [[] for _ in range(hands)]
    held = [0] * hands
    for name in sorted(names, key=lambda name: (-size[name], name)):
        lightest = held.index(min(held))
        shards[lightest].append(name)
        held[lightest] += size[name]
    return shards


def main() -> None:
    run = os.environ["TITAN_RUN_ID"]
    mappers = int(sys.argv[1])
    names = words.source_files()
    client = TitanClient()
    for number, shard in enumerate(deal(names, mappers), start=1):
        client.store_put(words.key(run, f"shard-{number}"), json.dumps(shard))
    print(f"{len(names)} files of {words.LIBRARY} dealt to {mappers} mappers")


if __name__ == "__main__":
    main()
