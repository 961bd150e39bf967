"""What this version lacks is said, not stumbled over."""

import pytest

from titan.errors import UserError
from titan.sdk import TitanClient


def test_a_call_that_is_not_built_names_what_is_missing() -> None:
    with TitanClient("127.0.0.1:1") as client:
        with pytest.raises(UserError, match="no secrets yet"):
            client.set_secret("k", "v")  # type: ignore[attr-defined]
        assert not hasattr(client, "set_secret")


def test_a_name_nobody_knows_is_an_ordinary_attribute_error() -> None:
    client = TitanClient("127.0.0.1:1")
    with client, pytest.raises(AttributeError, match="'TitanClient' has no attribute 'nonsense'"):
        client.nonsense  # type: ignore[attr-defined]  # noqa: B018
