"""One call in a process of its own: what an isolated function's job runs, as a script of the worker's.

The call lies in the file that the first argument names; the result becomes the job's output file. Its
arguments are those of `host.py`, and so are the function's surroundings, but nothing of it is shared.
"""

from __future__ import annotations

import os
import sys


def run(path: str) -> int:
    """Make the call; the exit code."""
    from titan.exec.functions.host import _report
    from titan.exec.functions.protocol import order_decoder
    from titan.exec.functions.putting_out import put_out
    from titan.exec.functions.resolving import Functions

    with open(path, "rb") as file:
        order = order_decoder.decode(file.read())
    os.unlink(path)  # noqa: PTH108 - it may hold secrets, and the function need not see it
    folder = os.getcwd()  # noqa: PTH109 - few imports
    sys.path.insert(0, folder)
    sys.argv = [""]
    if order.workspace:
        os.chdir(os.environ["TMPDIR"])
    target = os.environ["TITAN_OUTPUT"]
    try:
        output, _ = put_out(Functions(folder).call(order), target)
    except BaseException as error:
        return _report(error)[0]
    if output:
        with open(target, "wb") as file:
            file.write(output)
    return 0


if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder
    sys.path.append(sys.argv[2])
    from titan.exec.functions.lending import borrow

    borrow(*sys.argv[2:])
    sys.exit(run(sys.argv[1]))
