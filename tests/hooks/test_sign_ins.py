"""How often a hook signs in: once, however many want it; again in time, or once after a lapse."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCPermissionError, CCSessionRefused
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import (
    EVERY_SYSTEM,
    INFO,
    SYSTEMS,
    TASKS,
    TOKEN,
    VDN_AGENTS,
    at_once,
    in_threads,
    info,
    one_by_one,
)

EVERY_WAY = pytest.mark.parametrize("make", [one_by_one, in_threads, at_once])
#: Each system and each way, not each with each: neither knows of the other.
SYSTEMS_AND_WAYS = pytest.mark.parametrize(
    ("system", "make"),
    [
        *(("management", make) for make in (one_by_one, in_threads, at_once)),
        ("gateway", at_once),
        ("isales", in_threads),
    ],
)


def accounts(cc, count):
    return [info(account) for account in cc.accounts(limit=count)]


def failures(results):
    return [result for result in results if isinstance(result, BaseException)]


@SYSTEMS_AND_WAYS
def test_the_first_use_signs_in_once_however_many_want_it(cc, system, make):
    hook, call, endpoint, sign_in = SYSTEMS[system]
    cc.faults.latency, cc.faults.only = 0.1, {sign_in}
    hook = hook()
    assert (hook.sessions.sign_ins, cc.stats.requests()) == (0, 0)
    results = make(hook, [call() for _ in range(20)])
    assert failures(results) == []
    assert (cc.stats.sign_ins(system), cc.stats.requests(sign_in), cc.stats.requests(endpoint)) == (1, 1, 20)


def test_both_clients_share_one_session(cc, management):
    management.send(info())
    assert failures(at_once(management, [info(), info()])) == []
    management.send(info())
    assert (cc.stats.sign_ins(), cc.stats.requests(INFO)) == (1, 4)


def test_threads_that_meet_a_new_hook_share_its_making(cc, monkeypatch):
    made = []
    original = CCManagementHook._new_sessions

    def slowly(self, shared):
        time.sleep(0.05)  # long enough for the others to come in
        made.append(threading.get_ident())
        return original(self, shared)

    monkeypatch.setattr(CCManagementHook, "_new_sessions", slowly)
    assert failures(in_threads(CCManagementHook(), accounts(cc, 20))) == []
    assert (len(made), cc.stats.sign_ins()) == (1, 1)


def test_hooks_of_one_connection_have_their_own_sessions(cc):
    one_by_one(CCManagementHook(), [info()])
    one_by_one(CCManagementHook(), [info()])
    assert cc.stats.sign_ins() == 2


# Before the end of a session


@pytest.mark.parametrize(
    ("lifetime", "fresh", "stale"), [(3600, 3535, 3541), (600, 535, 541), (100, 88, 91), (10, 7, 9.1)]
)
def test_a_token_is_renewed_a_minute_or_a_tenth_before_its_end(cc, management, clock, lifetime, fresh, stale):
    cc.settings.token_lifetime = lifetime
    management.send(info())
    clock.ahead = fresh
    management.send(info())
    assert cc.stats.sign_ins() == 1
    clock.ahead = stale
    management.send(info())
    assert cc.stats.sign_ins() == 2


@EVERY_WAY
def test_a_renewal_in_time_serves_everyone(cc, management, clock, make):
    management.send(info())
    clock.ahead = 3550
    assert failures(make(management, accounts(cc, 20))) == []
    assert (cc.stats.sign_ins(), cc.stats.statuses[401]) == (2, 0)


def test_a_config_guid_has_no_end_that_anybody_knows(cc, gateway, clock):
    gateway.call("GET", VDN_AGENTS)
    clock.ahead = 10**9
    gateway.call("GET", VDN_AGENTS)
    assert cc.stats.sign_ins("gateway") == 1


# After a lapse


@SYSTEMS_AND_WAYS
def test_a_lapse_costs_one_sign_in_and_one_more_try_of_each_call(cc, system, make):
    hook, call, endpoint, sign_in = SYSTEMS[system]
    hook = hook()
    hook.send(call())
    cc.expire_sessions()
    if make is not one_by_one:
        cc.faults.latency = 0.1  # so that all calls are under way when the first is refused
    cc.stats.reset()
    results = make(hook, [call() for _ in range(20)])
    assert failures(results) == []
    assert cc.stats.requests(sign_in) == 1
    # A query that worked before shows that the session has lapsed; iSales has none.
    probes = hook.sessions.probes
    assert probes == (0 if system == "isales" else 1)
    assert cc.stats.requests(endpoint) == (21 if make is one_by_one else 40) + probes


@EVERY_SYSTEM
def test_every_lapse_of_a_session_that_worked_is_mended(cc, system):
    hook, call, _, _ = SYSTEMS[system]
    hook = hook()
    for _ in range(3):
        hook.send(call())
        cc.expire_sessions()
    assert cc.stats.sign_ins(system) == hook.sessions.sign_ins == 3


async def test_sessions_that_end_during_a_bulk_run_are_mended(cc, management):
    cc.faults.latency = 0.005
    turn, answered = asyncio.Semaphore(16), itertools.count(1)

    async def ask(bulk, account):
        async with turn:
            agent = await bulk.call(info(account))
        if next(answered) in (100, 200, 300):
            cc.expire_sessions()
        return agent

    async with management.bulk() as bulk:
        agents = await asyncio.gather(*(ask(bulk, account) for account in list(cc.accounts()) * 4))
    assert len(agents) == 400
    assert cc.stats.sign_ins() == 4


def test_a_declined_call_counts_as_a_session_that_works(cc, management):
    with pytest.raises(Exception, match="no_agent"):
        management.query_agent_info("nobody")
    cc.expire_sessions()
    assert management.query_agent_info("agent000000").agent_id == 10001


def test_a_call_that_is_refused_with_every_session_is_not_repeated_for_ever(cc, management):
    management.send(info())
    cc.faults.errors, cc.faults.only = {401: 1.0}, {INFO}
    cc.stats.reset()
    with pytest.raises(CCAuthError, match="HTTP 401"):
        management.send(info())
    # Each session, three of them new: the call, and the query that worked before.
    assert (cc.stats.requests(INFO), cc.stats.requests(TOKEN)) == (8, 3)


def test_a_sign_in_of_a_bulk_run_waits_while_the_center_asks_for_a_pause(cc, management, monkeypatch):
    acquire, signed_in_at = management.acquire_session, []

    def acquire_and_note():
        signed_in_at.append(time.monotonic())
        return acquire()

    monkeypatch.setattr(management, "acquire_session", acquire_and_note)

    async def run():
        async with management.bulk() as client:
            begun = time.monotonic()
            client._limiter.refused(0.4)
            await client.call(info())
            return begun

    begun = asyncio.run(run())
    assert [moment - begun >= 0.4 for moment in signed_in_at] == [True]


@EVERY_WAY
def test_a_session_that_lapses_before_it_is_used_is_replaced_where_others_have_worked(
    cc, management, make, monkeypatch
):
    make(management, accounts(cc, 20))
    acquire, lapsed = management.acquire_session, []

    def acquire_and_lapse():
        session = acquire()
        if len(lapsed) < 2:
            lapsed.append(session)
            cc.expire_sessions()
        return session

    monkeypatch.setattr(management, "acquire_session", acquire_and_lapse)
    cc.expire_sessions()
    results = make(management, accounts(cc, 20))
    assert [result.account for result in results] == list(cc.accounts(20))
    assert cc.stats.sign_ins() == 4


@EVERY_WAY
def test_calls_that_are_refused_for_ever_cause_at_most_four_sign_ins(cc, management, make):
    management.send(info())
    cc.faults.errors, cc.faults.only = {401: 1.0}, {INFO}
    for _ in range(2):
        if make is one_by_one:
            with pytest.raises(CCAuthError):
                make(management, accounts(cc, 20))
        else:
            assert {type(result) for result in make(management, accounts(cc, 20))} == {CCAuthError}
    assert cc.stats.sign_ins() == 4


@EVERY_WAY
def test_a_session_refused_before_it_ever_worked_is_not_replaced(cc, management, make):
    cc.faults.errors, cc.faults.only = {401: 1.0}, {INFO}
    for _ in range(2):
        if make is one_by_one:
            with pytest.raises(CCSessionRefused):
                make(management, accounts(cc, 20))
        else:
            assert {type(result) for result in make(management, accounts(cc, 20))} == {CCSessionRefused}
    assert cc.stats.requests(TOKEN) == 1


def test_a_refused_call_refuses_no_other(cc, management):
    cc.faults.errors, cc.faults.only = {401: 1.0}, {INFO}
    with pytest.raises(CCAuthError):
        management.send(info())
    cc.faults.errors = {}
    assert management.send(info()).agent_id == 10001
    assert cc.stats.sign_ins() == 1


# One call that is refused while others work


@pytest.mark.parametrize(("status", "make"), [(401, in_threads), (403, at_once)])
def test_refused_accounts_among_others_fail_alone_and_cost_no_sign_in(cc, management, make, status):
    names = list(cc.accounts(limit=60))
    blocked = set(names[::3])
    cc.faults.overrides.update(dict.fromkeys(blocked, (status, "{}")))
    management.send(info(names[1]))
    results = dict(zip(names, make(management, [info(name) for name in names]), strict=True))
    failed = {name for name, result in results.items() if isinstance(result, BaseException)}
    assert failed == blocked
    assert {type(results[name]) for name in failed} == {CCPermissionError}
    assert {results[name].status for name in failed} == {status}
    assert cc.stats.sign_ins() == 1


@pytest.mark.parametrize("status", [401, 403])
def test_an_interface_that_is_refused_fails_alone(cc, management, status):
    management.send(info())
    cc.faults.errors, cc.faults.only = {status: 1.0}, {"agentAccount/query"}
    for _ in range(5):
        with pytest.raises(CCPermissionError):
            list(management.query_agents())
    management.send(info())
    assert cc.stats.sign_ins() == 1


@pytest.mark.parametrize("status", [401, 403])
def test_without_a_query_that_worked_a_refused_interface_costs_one_sign_in(cc, isales, status):
    isales.call(TASKS)
    for _ in range(5):
        cc.faults.errors, cc.faults.only = {status: 1.0}, {"business/other"}
        with pytest.raises((CCPermissionError, CCBusinessError)):
            isales.call("business/other")
    cc.faults.errors = {}
    isales.call(TASKS)
    assert cc.stats.sign_ins() <= 2


def test_a_session_that_lapses_again_at_once_is_renewed_again(cc, management, monkeypatch, clock):
    """On a busy machine, a session of a few seconds may have lapsed when the repeated call arrives."""
    cc.settings.token_lifetime = 4
    management.send(info())
    acquire, times = management.acquire_session, []

    def acquire_late():
        session = acquire()
        times.append(1)
        if len(times) < 3:
            cc.expire_sessions()
            clock.ahead += 0.5  # beyond the tenth of its lifetime in which it counts as fresh
        return session

    monkeypatch.setattr(management, "acquire_session", acquire_late)
    cc.expire_sessions()
    assert management.send(info()).agent_id == 10001
    assert len(times) == 3


def test_a_token_that_a_new_one_cancels_does_not_start_a_race(cc, management):
    cc.settings.new_token_cancels_old = True
    for _ in range(3):
        assert failures(in_threads(management, accounts(cc, 20))) == []
    assert cc.stats.sign_ins() == 1
