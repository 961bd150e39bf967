"""The files that jobs in a pipeline's YAML name: whether they are there, and their paths in the bundle."""

from __future__ import annotations

import os
from pathlib import Path

from titan.spec import requirements
from titan.spec.layout import lay_out
from titan.spec.model import UNATTENDED
from titan.spec.problems import Problems, did_you_mean
from titan.spec.yaml_fields import JobRead
from titan.spec.yaml_jobs import WORK


class FilesReader:
    """Looks at files named relative to `folder`; every method reports into `problems` and goes on."""

    def __init__(self, problems: Problems, folder: Path) -> None:
        self._problems = problems
        self._folder = folder

    def files(self, reads: list[JobRead], *, is_project: bool) -> dict[str, Path]:
        """Check the named files and turn their names into paths in the bundle."""
        for read in reads:
            if (
                read.attrs.get("type") not in UNATTENDED
                and not any(read.attrs.get(name) for name in WORK)
                and not ({"file", "command"} & read.places.keys())
            ):
                message = "has nothing to run: give it a file or a command"
                self._problems.add(message, field=read.label, place=read.place)
        named = [read for read in reads if read.attrs.get("file")]
        listed = [read for read in reads if read.attrs.get("requirements_file")]
        if is_project:
            for read in named:
                self._in_project(read, "file")
            for read in listed:
                self._in_project(read, "requirements_file")
            return {}
        for read in listed:
            self._read_requirements(read)
        sources = [(self._folder / read.attrs["file"]) for read in named]
        placed = lay_out(sources, base=self._folder)
        for read, source in zip(named, sources, strict=True):
            self._exists(read, source)
            read.attrs["file"] = placed[source]
        return {placed[source]: source for source in sources}

    def _in_project(self, read: JobRead, attr: str) -> None:
        name = os.path.normpath(read.attrs[attr])
        if Path(name).is_absolute() or ".." in Path(name).parts[:1]:
            message = f"{name} is outside the project; with 'project: false' it may be anywhere"
            self._blame(read, attr, message)
            return
        read.attrs[attr] = name.replace(os.sep, "/")
        self._exists(read, self._folder / name, attr=attr)

    def _exists(self, read: JobRead, source: Path, *, attr: str = "file") -> bool:
        if source.is_file():
            return True
        hint = ""
        if source.parent.is_dir():
            hint = did_you_mean(source.name, (entry.name for entry in os.scandir(source.parent)))
        self._blame(read, attr, f"no such file: {source}{hint}")
        return False

    def _read_requirements(self, read: JobRead) -> None:
        """The file does not travel, so its lines do."""
        source = self._folder / read.attrs["requirements_file"]
        if self._exists(read, source, attr="requirements_file"):
            read.attrs["requirements_file"] = ""
            read.attrs["requirements"] = requirements.lines_of(source.read_text(errors="replace"))

    def _blame(self, read: JobRead, attr: str, message: str) -> None:
        field = "file" if attr == "file" else "requirements"
        self._problems.add(message, field=f"{read.label}.{field}", place=read.places.get(field))
