"""A directory that does not say how long it is has to end, or to go on."""

from __future__ import annotations

import pytest

from airflow_provider_cc.api.management import DirectoryAgent, DirectoryPage, insist_on_progress
from airflow_provider_cc.exceptions import CCResponseError

ANN = DirectoryAgent("ann", 4711, 4, "7001")
BOB = DirectoryAgent("bob", 4712, 4, "7002")


def page(total: int | None, *agents: DirectoryAgent) -> DirectoryPage:
    return DirectoryPage(total, list(agents), [])


def test_the_same_page_twice_is_an_error() -> None:
    with pytest.raises(CCResponseError, match="repeated_page"):
        insist_on_progress(page(None, ANN), page(None, ANN))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, page(None, ANN)),
        (page(None, ANN), page(None, BOB)),
        (page(None, ANN), page(None)),
        (page(1, ANN), page(1, ANN)),
    ],
)
def test_anything_else_goes_on(before: DirectoryPage | None, now: DirectoryPage) -> None:
    insist_on_progress(before, now)
