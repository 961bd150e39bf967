"""A data directory belongs to one member, and says so."""

from pathlib import Path

import pytest

from titan.errors import Fatal, UserError
from titan.master.config import MasterConfig
from titan.master.identity import load_identity, save_identity


def test_the_identity_survives_a_restart(tmp_path: Path) -> None:
    first = load_identity(tmp_path, address="127.0.0.1:1")
    first.cluster_id = "k"
    save_identity(tmp_path, first)
    assert load_identity(tmp_path, address="127.0.0.1:1") == first


def test_nothing_is_claimed_before_it_is_saved(tmp_path: Path) -> None:
    load_identity(tmp_path, address="127.0.0.1:1")
    assert load_identity(tmp_path, address="127.0.0.1:2").address == "127.0.0.1:2"


def test_a_workers_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "worker-id").write_text("w-1")
    with pytest.raises(UserError, match="belongs to a worker"):
        load_identity(tmp_path, address="127.0.0.1:1")


def test_the_data_directory_of_another_member_is_refused(tmp_path: Path) -> None:
    save_identity(tmp_path, load_identity(tmp_path, address="127.0.0.1:1"))
    with pytest.raises(UserError, match=r"belongs to the master 127.0.0.1:1") as caught:
        load_identity(tmp_path, address="127.0.0.1:2")
    assert "of its own" in caught.value.hint


def test_a_damaged_identity_stops_the_master_instead_of_making_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_bytes(b"{")
    with pytest.raises(Fatal, match="damaged"):
        load_identity(tmp_path, address="127.0.0.1:1")


def test_a_file_where_the_directory_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(UserError, match="cannot use the data directory"):
        load_identity(tmp_path / "data", address="127.0.0.1:1")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"listen": "0.0.0.0:9090"}, "no TLS"),
        ({"http": "10.0.0.1:80"}, "no TLS"),
        ({"listen": "nonsense"}, "not an address"),
        ({"peers": ("127.0.0.1:1", "127.0.0.1:2")}, "own address"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tmp_path: Path, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        MasterConfig(data_dir=tmp_path, **settings).check()  # type: ignore[arg-type]


def test_insecure_is_a_choice(tmp_path: Path) -> None:
    MasterConfig(data_dir=tmp_path, listen="0.0.0.0:9090", insecure=True).check()
