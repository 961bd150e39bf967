"""Who writes the program: a model if there is one, else a few rules about what goes wrong with data."""

import re
import textwrap

import model

GOAL = """Write a Python program, standard library only. In its folder are orders.csv (order, customer,
amount, currency) and names.json (a customer's number to the name). It writes totals.json: the sum of
the amounts for each name, rounded to two digits. Answer with the program only."""

FIRST = """\
import csv, json
names = json.load(open("names.json"))
totals = {}
for row in csv.DictReader(open("orders.csv")):
    name = names[row["customer"]]
    amount = float(row["amount"])
    totals[name] = round(totals.get(name, 0) + amount, 2)
json.dump(totals, open("totals.json", "w"))
"""


def write() -> str:
    """A first try, which trusts the data."""
    answer = model.ask(GOAL)
    return FIRST if answer is None else _code(answer)


def rewrite(program: str, log: str) -> str:
    """The program without what made it fail, as its log tells."""
    answer = model.ask(f"{GOAL}\n\nThis program failed:\n{program}\n\nIts output:\n{log[-4000:]}")
    return _guarded(program, log) if answer is None else _code(answer)


def _code(answer: str) -> str:
    fenced = re.search(r"```(?:python)?\n(.*?)```", answer, re.DOTALL)
    return fenced[1] if fenced else answer


def _guarded(program: str, log: str) -> str:
    """The line that raised, put into a `try` that leaves the row out."""
    error = log.strip().splitlines()[-1].split(":")[0]
    numbers = re.findall(r'File "[^"]*program\.py", line (\d+)', log)
    if not numbers:
        raise SystemExit(f"the log does not say where it failed: {error}")
    lines = program.splitlines()
    at = int(numbers[-1]) - 1
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    guarded = f"try:\n    {lines[at].strip()}\nexcept {error}:\n    continue"
    lines[at] = textwrap.indent(guarded, indent)
    return "\n".join(lines) + "\n"
