"""Which paths a pattern means, and where files are put."""

from __future__ import annotations

import pytest

from titan.spec.globs import clean, fixed_folder, matches, placed, read_input


@pytest.mark.parametrize(
    ("pattern", "path", "is_meant"),
    [
        ("a.txt", "a.txt", True),
        ("a.txt", "b/a.txt", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "a/b.txt", False),
        ("**/*.txt", "a.txt", True),
        ("**/*.txt", "a/b/c.txt", True),
        ("dist", "dist/a/b", True),
        ("dist", "dist2/a", False),
        ("dist/*.w?l", "dist/x.whl", True),
        ("d[ab]/x", "da/x", True),
        ("d[!ab]/x", "dc/x", True),
        ("d[!ab]/x", "da/x", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a+(b).[", "a+(b).[", True),
        ("**", "anything/at/all", True),
    ],
)
def test_a_pattern_means_a_path(pattern: str, path: str, is_meant: bool) -> None:
    assert matches(pattern, path) is is_meant


@pytest.mark.parametrize("bad", ["../x", "/etc/passwd", "a/../b", "", "  ", "a//b", "a\0b"])
def test_a_pattern_that_leads_out_of_the_folder_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        clean(bad)


@pytest.mark.parametrize("bad", ["x", ":x", "a b:x", "a:../x", "a:x -> ../y", "a:x -> /y"])
def test_an_input_that_cannot_be_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"not a path inside|must be 'job:path"):
        read_input(bad)


@pytest.mark.parametrize(
    ("text", "path", "target"),
    [
        ("j:dist/*.whl", "dist/a.whl", "dist/a.whl"),
        ("j:dist/*.whl -> up", "dist/a.whl", "up/a.whl"),
        ("j:dist/**/*.whl -> up", "dist/x/a.whl", "up/x/a.whl"),
        ("j:dist/a.whl -> b.whl", "dist/a.whl", "b.whl"),
        ("j:dist -> up/to", "dist/x/y", "up/to/x/y"),
        ("DAG-j:*.c -> src", "a.c", "src/a.c"),
    ],
)
def test_a_file_goes_to_its_place(text: str, path: str, target: str) -> None:
    assert placed(read_input(text), path) == target
    assert read_input(text).job == "j"


def test_the_folder_in_front_of_the_first_wildcard_is_fixed() -> None:
    assert [fixed_folder(p) for p in ("a/b/*.c", "*.c", "a/b")] == ["a/b", "", "a/b"]
