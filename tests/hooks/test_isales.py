"""CC-iSales: a pair of tokens, traded for a new one while that works, and the pages' two disagreements."""

from __future__ import annotations

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError
from airflow_provider_cc.hooks.isales import CCISalesHook
from tests.hooks.support import TASKS

REFRESH, LOGIN = "auth/refresh", "auth/login"


def counts(cc):
    return cc.stats.requests(LOGIN), cc.stats.requests(REFRESH)


def test_a_call_returns_the_whole_reply(cc, isales):
    assert isales.call(TASKS, json={"name": "t"}) == {"result": 0, "resultData": {"taskId": "1"}}
    assert isales.call(f"/{TASKS}")["result"] == 0
    with pytest.raises(CCBusinessError, match="HTTP 404"):
        isales.call("business/nothing")


@pytest.mark.parametrize(("header", "kind"), [("Authentication", "refreshToken"), ("Authorization", "token")])
def test_either_token_goes_into_either_header(start, header, kind):
    cc = start(isales_header=header, isales_token_kind=kind, record=True)
    CCISalesHook().call(TASKS)
    (asked,) = [request for request in cc.stats.recorded if request.endpoint == TASKS]
    other = {"Authentication", "Authorization"} - {header}
    assert asked.headers[header].startswith("Bearer ")
    assert not other & set(asked.headers)


def test_the_defaults_are_authentication_and_token(cc, connect):
    connection = cc.connections()["cc_isales_default"]
    connect("cc_isales_default", {**connection, "extra": {"verify": cc.ca_file}})
    assert CCISalesHook().call(TASKS)["result"] == 0


def test_a_pair_is_refreshed_before_the_token_ends_on_and_on(cc, isales, clock):
    for _ in range(4):
        isales.call(TASKS)
        clock.ahead += 280  # of 300
    assert (counts(cc), cc.stats.statuses[401]) == ((1, 3), 0)


def test_without_a_living_refresh_token_it_signs_in(cc, isales, clock):
    isales.call(TASKS)
    clock.ahead = 3599
    isales.call(TASKS)
    assert counts(cc) == (2, 0)


def test_a_refresh_that_is_refused_is_followed_by_a_sign_in(cc, isales, clock):
    isales.call(TASKS)
    cc.expire_sessions()
    clock.ahead = 280
    isales.call(TASKS)
    assert counts(cc) == (2, 1)


def test_a_refresh_without_an_answer_is_followed_by_a_sign_in(cc, isales, clock):
    isales.call(TASKS)
    cc.faults.errors, cc.faults.only = {502: 1.0}, {REFRESH}
    clock.ahead = 280
    isales.call(TASKS)
    assert counts(cc) == (2, 1)


def test_a_refresh_that_is_refused_does_not_lock_the_account(cc, isales, clock):
    isales.call(TASKS)
    cc.expire_sessions()
    cc.faults.refuse_sign_ins = {"isales"}
    clock.ahead = 280
    for _ in range(3):
        with pytest.raises(CCAuthError, match="auth/login"):
            isales.call(TASKS)
    assert cc.stats.refused("isales") == 1


def test_a_lapse_is_mended_by_a_sign_in(cc, isales):
    isales.call(TASKS)
    cc.expire_sessions()
    isales.call(TASKS)
    assert counts(cc) == (2, 0)


def test_login_signs_in_now_and_refresh_trades_the_pair_or_signs_in_without_one(cc, isales):
    isales.refresh()
    assert counts(cc) == (1, 0)
    isales.login()
    assert counts(cc) == (2, 0)
    isales.refresh()
    isales.call(TASKS)
    assert counts(cc) == (2, 1)


def test_numbers_may_come_as_texts(cc, isales, clock):
    cc.faults.vary_types = True
    isales.call(TASKS)
    clock.ahead = 280
    isales.call(TASKS)
    assert counts(cc) == (1, 1)
