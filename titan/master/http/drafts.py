"""A declaration as a page has it: YAML text and the files it names, laid out where the loader looks.

The files exist in a temporary folder for as long as they are read and packed. Names are checked before
anything is written: nothing of a request can reach a path outside that folder.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from titan.errors import InvalidSpec, LimitExceeded, UserError
from titan.limits import DRAFT_FILES_MAX, DRAFT_NAME_BYTES_MAX
from titan.spec.bundle import Bundle
from titan.spec.problems import Problem, Problems
from titan.spec.yaml_file import LoadedPipeline, parse_pipeline

_FILE: Final = "pipeline.yaml"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """YAML with its files: `files` as text, `binary` in base64, both by path beside the YAML."""

    yaml: str
    files: dict[str, str] = {}
    binary: dict[str, str] = {}


class Packed(NamedTuple):
    """What was declared, and the bundle its jobs need, if any. Close the bundle."""

    loaded: LoadedPipeline
    bundle: Bundle | None


def problems_of(draft: Draft, *, open_world: bool = False) -> tuple[Problem, ...]:
    """Everything wrong with it. Raises `UserError` and `LimitExceeded` for the files themselves."""
    problems = Problems(_FILE)
    with _laid_out(draft) as folder:
        try:
            _load(draft, folder, problems=problems, open_world=open_world)
        except InvalidSpec:
            pass  # they are in `problems`
        prefix = f"{folder}/"
        return tuple(
            one._replace(message=one.message.replace(prefix, "")) for one in problems.found
        )


def packed(draft: Draft, *, open_world: bool = False) -> Packed:
    """Read and pack it. Raises `InvalidSpec` with every problem."""
    problems = Problems(_FILE)
    with _laid_out(draft) as folder:
        try:
            loaded = _load(draft, folder, problems=problems, open_world=open_world)
            needs_files = bool(draft.files or draft.binary)
            return Packed(loaded, loaded.pack() if needs_files else None)
        except InvalidSpec as error:
            prefix = f"{folder}/"
            raise InvalidSpec(
                problems=tuple(one.replace(prefix, "") for one in error.problems), hint=error.hint
            ) from None


def _load(draft: Draft, folder: Path, *, problems: Problems, open_world: bool) -> LoadedPipeline:
    data = draft.yaml.encode("utf-8", "surrogatepass")
    return parse_pipeline(data, path=folder / _FILE, open_world=open_world, problems=problems)


@contextmanager
def _laid_out(draft: Draft) -> Iterator[Path]:
    contents = _contents(draft)
    with tempfile.TemporaryDirectory(prefix="titan-draft-") as name:
        folder = Path(name).resolve()
        for path, content in contents.items():
            target = folder / path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            except (FileExistsError, IsADirectoryError, NotADirectoryError):
                raise UserError(f"{path!r} is a file and a folder at once") from None
            if content.startswith(b"#!"):
                target.chmod(0o755)
        yield folder


def _contents(draft: Draft) -> dict[str, bytes]:
    if len(draft.files) + len(draft.binary) > DRAFT_FILES_MAX:
        raise LimitExceeded(
            f"at most {DRAFT_FILES_MAX} files travel with a page's pipeline",
            hint="deploy the project by `titan run` or the SDK",
        )
    contents = {path: text.encode("utf-8", "surrogatepass") for path, text in draft.files.items()}
    contents |= _decoded(draft.binary)
    for path in contents:
        check_path(path)
    return contents


def _decoded(binary: Mapping[str, str]) -> dict[str, bytes]:
    decoded = {}
    for path, text in binary.items():
        try:
            decoded[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise UserError(f"binary: {path!r} is not base64") from None
    return decoded


def check_path(path: str) -> None:
    """Raise `UserError` unless the path stays beside the pipeline's file and names a file of its own."""
    parts = path.split("/")
    is_plain = not ({"", ".", ".."} & set(parts)) and "\0" not in path and "\\" not in path
    try:
        is_short = all(len(part.encode()) <= DRAFT_NAME_BYTES_MAX for part in parts)
    except UnicodeEncodeError:
        is_short = False
    if not is_plain or not is_short or len(parts) > DRAFT_FILES_MAX or path == _FILE:
        raise UserError(f"{path!r} cannot be the path of a file beside the pipeline")
