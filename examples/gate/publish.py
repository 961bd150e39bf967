"""Write the archive to where the answers at the gate say."""

import os
from pathlib import Path

from titan.sdk import TitanClient, current

run = current().run
with TitanClient() as client:
    answers = client.get_output("publish-gate", run)
    data = client.store_get(f"release/{run}")
    folder = Path(os.environ["TITAN_PARAM_target"]) / answers["channel"]  # noqa: SIM112
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release.tar.gz").write_bytes(data)
    (folder / "NOTE").write_text(answers["note"] + "\n")
    client.store_delete(f"release/{run}")
print(f"published to {folder}")
