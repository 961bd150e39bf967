"""What a call puts out: what it has written into the file `TITAN_OUTPUT`, else what it has returned.

Part of a function's process. Small outputs go with the message that the call has ended; what is too large
for the state is in that file when the message is sent, and the worker's from then on.
"""

from __future__ import annotations

import os

from titan.exec.functions.resolving import CallFailed
from titan.limits import OUTPUT_BLOB_BYTES_MAX, OUTPUT_BYTES_MAX


def put_out(result: bytes, path: str) -> tuple[bytes, bool]:
    """The output, if it is small, and whether it is in the file instead. Raises `CallFailed`."""
    written = _size(path)
    if not written:
        if len(result) <= OUTPUT_BYTES_MAX:
            return result, False
        with open(path, "wb") as file:
            file.write(result)
        return b"", True
    if written > OUTPUT_BLOB_BYTES_MAX:
        raise CallFailed(
            f"the call has put out {written} bytes; at most {OUTPUT_BLOB_BYTES_MAX}: "
            "publish larger data as an artifact"
        )
    if written > OUTPUT_BYTES_MAX:
        return b"", True
    with open(path, "rb") as file:
        return file.read(), False


def forget(path: str) -> None:
    """Nobody wants what the file holds."""
    try:
        os.unlink(path)  # noqa: PTH108 - few imports
    except FileNotFoundError:
        pass
    except OSError:  # a folder, by some prank: it is no output
        return


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - few imports
    except OSError:
        return 0
