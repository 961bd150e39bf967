"""What each country has bought."""

import sqlite3
from contextlib import closing

QUERY = "select country, count(*), sum(euro_cents) from sales group by country order by 3 desc"
with closing(sqlite3.connect("sales.db")) as db:
    for country, orders, euro_cents in db.execute(QUERY):
        print(f"{country}  {orders} orders  {euro_cents / 100:8.2f} EUR")
