"""Do a ticket: says who does it, by which skills."""

import os
import sys

print(f"{sys.argv[1]!r} done with {os.environ['TITAN_CAPABILITIES']}")
