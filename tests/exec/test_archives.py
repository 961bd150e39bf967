"""Archives that nobody vouches for: what is unpacked and what is refused, by name."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from titan.exec.archives import ArchiveRefused, unpack

Build = Callable[[tarfile.TarFile], None]


def add(
    tar: tarfile.TarFile,
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, link, len(data), mode
    tar.addfile(member, io.BytesIO(data))


def tar_of(path: Path, build: Build, *, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        build(tar)
    return path


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_keeps_folders_contents_links_and_the_executable_bit(
    tmp_path: Path, target: Path, mode: str
) -> None:
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "./pkg", kind=tarfile.DIRTYPE)
        add(tar, "./pkg/a.py", b"print(1)")
        add(tar, "tool", b"#!", mode=0o4755)
        add(tar, "pkg/link", kind=tarfile.SYMTYPE, link="../tool")
        add(tar, "hard", kind=tarfile.LNKTYPE, link="./pkg/a.py")

    assert unpack(tar_of(tmp_path / "a", build, mode=mode), target) == 18
    assert (target / "pkg/a.py").read_bytes() == (target / "hard").read_bytes() == b"print(1)"
    assert stat.S_IMODE((target / "tool").stat().st_mode) == 0o755
    assert (target / "pkg/link").resolve() == target / "tool"


def test_a_zip_keeps_the_same(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("pkg/", b"")
        archive.writestr("pkg/a.py", b"x" * 100, zipfile.ZIP_DEFLATED)
        info = zipfile.ZipInfo("tool")
        info.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(info, b"#!")
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, b"pkg/a.py")
    assert unpack(tmp_path / "a", target) == 102
    assert (target / "link").read_bytes() == b"x" * 100
    assert (target / "tool").stat().st_mode & 0o111


ATTACKS: dict[str, tuple[Build, str]] = {
    "parent": (lambda tar: add(tar, "../evil", b"x"), "'../evil'"),
    "parent inside": (lambda tar: add(tar, "a/../../evil", b"x"), "evil"),
    "absolute": (lambda tar: add(tar, "/tmp/evil", b"x"), "'/tmp/evil'"),
    "link to absolute": (
        lambda tar: add(tar, "l", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "'l' leads out",
    ),
    "link to parent": (
        lambda tar: add(tar, "d/l", kind=tarfile.SYMTYPE, link="../../x"),
        "'d/l' leads out",
    ),
    "hard link out": (
        lambda tar: add(tar, "h", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
        "'h'",
    ),
    "device": (lambda tar: add(tar, "dev", kind=tarfile.CHRTYPE), "'dev' is neither"),
    "fifo": (lambda tar: add(tar, "pipe", kind=tarfile.FIFOTYPE), "'pipe' is neither"),
    "long name": (lambda tar: add(tar, "n" * 5000, b"x"), "too long a name"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused_and_the_member_is_named(
    tmp_path: Path, target: Path, attack: str
) -> None:
    build, named = ATTACKS[attack]
    with pytest.raises(ArchiveRefused, match="(?i)" + named.replace("/", r"\/")):
        unpack(tar_of(tmp_path / "a", build), target)
    assert not (tmp_path / "evil").exists()


def test_a_file_is_never_written_through_a_link(tmp_path: Path, target: Path) -> None:
    def through_folder(tar: tarfile.TarFile) -> None:
        add(tar, "real", kind=tarfile.DIRTYPE)
        add(tar, "d", kind=tarfile.SYMTYPE, link="real")
        add(tar, "d/f", b"x")

    def over_link(tar: tarfile.TarFile) -> None:
        add(tar, "l", kind=tarfile.SYMTYPE, link="elsewhere")
        add(tar, "l", b"x")

    with pytest.raises(ArchiveRefused, match="'d/f' goes through a link"):
        unpack(tar_of(tmp_path / "a", through_folder), target)
    (tmp_path / "again").mkdir()
    with pytest.raises(ArchiveRefused, match="'l' replaces a link"):
        unpack(tar_of(tmp_path / "b", over_link), tmp_path / "again")


def test_a_link_that_leaves_through_another_link_is_refused(tmp_path: Path, target: Path) -> None:
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "a/b/c", kind=tarfile.DIRTYPE)
        add(tar, "up", kind=tarfile.SYMTYPE, link="a")
        add(tar, "x/y/z", kind=tarfile.SYMTYPE, link="../../up/../..")

    with pytest.raises(ArchiveRefused, match="leads out"):
        unpack(tar_of(tmp_path / "a", build), target)


def test_bombs_stop_at_the_limits(tmp_path: Path, target: Path) -> None:
    bomb = tar_of(tmp_path / "a", lambda tar: add(tar, "zeros", bytes(5_000_000)))
    with pytest.raises(ArchiveRefused, match=r"more than 1000000 bytes at 'zeros'"):
        unpack(bomb, target, bytes_max=1_000_000)
    assert (target / "zeros").stat().st_size <= 1_000_000
    with pytest.raises(ArchiveRefused, match=r"more than 1000000 bytes at 'zeros'"):
        unpack(zip_of(tmp_path / "b", zeros=bytes(5_000_000)), target, bytes_max=1_000_000)
    many = tar_of(tmp_path / "c", lambda tar: [add(tar, f"f{n}") for n in range(20)] and None)
    with pytest.raises(ArchiveRefused, match="more than 10 members"):
        unpack(many, target, files_max=10)


def test_a_header_that_claims_gigabytes_is_refused_unread(tmp_path: Path, target: Path) -> None:
    header = tarfile.TarInfo("paxheader")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    with pytest.raises(ArchiveRefused, match="claims"):
        unpack(tmp_path / "a", target)


def test_an_encrypted_zip_is_refused(tmp_path: Path, target: Path) -> None:
    path = zip_of(tmp_path / "a", secret=b"x")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="'secret' is encrypted"):
        unpack(path, target)


@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x03\x04junk", b"\x1f\x8bjunk", b"x" * 1024])
def test_what_is_no_archive_is_refused(tmp_path: Path, target: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ArchiveRefused, match="damaged"):
        unpack(tmp_path / "a", target)


def test_a_truncated_archive_is_refused_unless_all_members_are_whole(
    tmp_path: Path, target: Path
) -> None:
    whole = tar_of(tmp_path / "a", lambda tar: add(tar, "f", b"data" * 500)).read_bytes()
    for size in range(0, len(whole) - 8, 7):
        (tmp_path / "cut").write_bytes(whole[:size])
        try:
            unpack(tmp_path / "cut", target)
        except ArchiveRefused:
            continue
        assert (target / "f").read_bytes() == b"data" * 500
