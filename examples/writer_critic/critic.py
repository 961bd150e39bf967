"""Read the newest draft; with complaints, ask for another one. Both happen together or not at all."""

import sys

import minds
import model

from titan.sdk import TitanJob, current

ROUNDS_MAX = 6

here, digest = sys.argv[1:]
me = current()
number = int(me.job.removeprefix("critic-"))
complaints = minds.criticise(me.client.get_output(f"write-{number}", me.run))
if complaints and number == ROUNDS_MAX:
    sys.exit(f"not good enough after {ROUNDS_MAX} drafts: {complaints}")
with me.commit() as c:
    c.set_output(complaints)
    if complaints:
        how = {"args": [here, digest], "bundle": here, "env": model.settings()}
        write, critic = f"write-{number + 1}", f"critic-{number + 1}"
        c.submit(TitanJob(write, "write.py", parents=[me.job], **how))
        c.submit(TitanJob(critic, "critic.py", parents=[write], **how))
