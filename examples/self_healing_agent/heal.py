"""`work` has failed: rewrite its program by what its log says, run it again, watch over that."""

import sys

import model
import planner

from titan.sdk import TitanJob, current

ROUNDS_MAX = 6

here = sys.argv[1]
me = current()
number = int(me.job.removeprefix("heal-"))
if number > ROUNDS_MAX:
    sys.exit(f"given up after {ROUNDS_MAX} rewrites")

# An earlier attempt of this job may have come this far, and then died with its worker.
if me.client.get_job_status("work", me.run) in ("FAILED", "DEAD"):
    log = me.client.fetch_logs("work", me.run)
    program = str(me.client.store_get(f"heal/{me.run}/program"))
    me.client.store_put(f"heal/{me.run}/program", planner.rewrite(program, log))
    print(f"mended: {log.strip().splitlines()[-1]}")
    me.client.rerun_from(me.run, "work")

again = TitanJob(
    f"heal-{number + 1}",
    "heal.py",
    args=[here],
    parents=["work"],
    trigger="any_failed",
    bundle=here,
    env=model.settings(),
)
if again.id not in {job.id for job in me.client.list_jobs(me.run)}:
    me.submit(again)
