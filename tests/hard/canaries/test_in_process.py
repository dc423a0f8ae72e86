"""Tracebacks with local variables, reprs, pickles and copies, in every failure of the contact center."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.hard.canaries.center import FAULTS, SETTINGS


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("share", [False, True], ids=["", "shared"])
def test_nothing_is_shown(everything: Callable[..., Any], name: str, share: bool) -> None:
    settings = dict(SETTINGS.get(name, {}))
    extra = {"share_session": share, **settings.pop("extra", {})}

    found, failed = everything(FAULTS[name], extra=extra, **settings)

    assert found == []
    assert "body" in failed
