"""Run the program as it is in the store now; it is to leave `totals.json`."""

import json
import runpy
from pathlib import Path

from titan.sdk import current

me = current()
Path("program.py").write_text(str(me.client.store_get(f"heal/{me.run}/program")))
runpy.run_path("program.py", run_name="__main__")
me.set_output(json.loads(Path("totals.json").read_text()))
