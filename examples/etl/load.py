"""Load the sales into a SQLite database, which travels on as an artifact."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

with closing(sqlite3.connect("sales.db")) as db, db:
    db.execute("create table sales (id integer primary key, name, country, euro_cents integer)")
    db.executemany(
        "insert into sales values (?, ?, ?, ?)", json.loads(Path("sales.json").read_text())
    )
