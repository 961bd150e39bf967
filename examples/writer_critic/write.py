"""Write a draft: the first one, or one that answers the critic's complaints about the last."""

import sys
from pathlib import Path

import minds

from titan.sdk import current

_, digest = sys.argv[1:]
me = current()
number = int(me.job.removeprefix("write-"))
source = Path(me.client.fetch_artifact(digest, "source")).read_text()
draft, complaints = "", []
if number > 1:
    draft = me.client.get_output(f"write-{number - 1}", me.run)
    complaints = me.client.get_output(f"critic-{number - 1}", me.run)
me.set_output(minds.write(source, draft, complaints))
