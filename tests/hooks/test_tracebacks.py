"""No secret in tracebacks with local variables, reprs, pickles and copies of what the provider makes."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback

import pytest
from rich.pretty import pretty_repr

from airflow_provider_cc.api.secret import without_locals
from airflow_provider_cc.hooks import agent as agent_module
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hard.canaries.asking import connections, questions, shown
from tests.hard.canaries.canaries import Search
from tests.hard.canaries.center import FAULTS, SETTINGS, canary_center


def told(thing):
    """Return what can be told of a thing from outside: repr, attributes, pickle, copy."""
    yield f"{thing!r} {pretty_repr(thing)} {vars(thing) if hasattr(thing, '__dict__') else ''}".encode()
    for copied in (lambda it: it, copy.copy, copy.deepcopy):
        try:
            yield pickle.dumps(copied(thing))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            yield repr(error).encode()
    if hasattr(thing, "serialize"):
        yield repr(thing.serialize()).encode()


@pytest.fixture
def everything(certificates, connect, monkeypatch, tmp_path, logged):
    """Ask everything of a contact center, and search what there is to see for its canaries."""
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)

    def everything(faults, **settings):
        extra = settings.pop("extra", {})
        with canary_center(certificates, faults, **settings) as (center, canaries):
            for conn_id, connection in connections(center, **extra).items():
                connect(conn_id, connection)
            connect("warehouse", {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")})
            search, found, failed = Search(canaries), [], set()
            for name, thing, ask in questions(center):
                seen = []
                try:
                    seen.append(repr(ask(thing)).encode())
                except Exception as error:
                    failed.add(name)
                    seen.append(shown(error).encode())
                seen += told(thing)
                if hook := vars(thing).get("hook"):
                    seen += told(hook)
                found += [(name, search.hits(text), search.where(text)) for text in seen if search.hits(text)]
            said = logged.text()
            found += [("log", search.hits(said), search.where(said))] if search.hits(said) else []
            return found, failed

    return everything


@pytest.mark.parametrize("name", ["none", "refused"])  # the others by `make test-hard`
def test_nothing_is_shown(everything, name):
    found, failed = everything(FAULTS[name], **SETTINGS.get(name, {}))
    assert found == []
    expected = {"nobody", "call", "body", "guid", "info operator", "user operator", "password sync of all"}
    assert failed >= expected if name != "none" else failed == expected


def test_a_plain_hook_that_fails_would_show_its_secret(certificates, connect):
    """The search finds what it is there to find: without the decorator, the same failure shows everything."""
    with canary_center(certificates, FAULTS["refused"]) as (center, canaries):
        for conn_id, connection in connections(center).items():
            connect(conn_id, connection)
        hook = CCManagementHook()
        with pytest.raises(Exception, match="queryAgentInfoByAccount") as failure:
            CCManagementHook.query_agent_info.__wrapped__(
                hook, "agent000000", username="u", password=center.settings.app_secret
            )
    assert Search(canaries).hits(shown(failure.value))


def fail(secret):
    raise KeyError


@without_locals
def fail_while_handling(secret):
    try:
        fail(secret)
    except KeyError:
        fail(secret)


@without_locals
async def fail_while_handling_and_waiting(secret):
    fail_while_handling.__wrapped__(secret)


@pytest.mark.parametrize(
    "ask",
    [fail_while_handling, lambda secret: asyncio.run(fail_while_handling_and_waiting(secret))],
    ids=["call", "coroutine"],
)
def test_what_a_failure_was_raised_in_the_handling_of_shows_as_little(ask):
    with pytest.raises(KeyError) as failure:
        ask("tell" + "tale")

    assert failure.value.__context__ is not None
    for frame, _ in traceback.walk_tb(failure.value.__context__.__traceback__):
        assert "telltale" not in frame.f_locals.values()


def test_what_the_caller_was_handling_keeps_its_variables():
    try:
        fail("own")
    except KeyError as handled:
        with pytest.raises(KeyError):
            fail_while_handling("telltale")
        (*_, (last, _)) = traceback.walk_tb(handled.__traceback__)

    assert last.f_locals == {"secret": "own"}
