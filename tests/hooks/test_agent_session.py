"""An agent is signed in only inside the block, kept signed in, and signed out whatever happens."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCConfigError, CCError
from airflow_provider_cc.hooks import agent as agent_module
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.simulator import gateway as simulated_gateway
from tests.hooks.conftest import Clock

ACCOUNT, NUMBER = "agent000000", "88880001"


@pytest.fixture
def agent(cc):
    return cc.agent(ACCOUNT)


@pytest.fixture
def seat(cc, agent, gateway):
    """Sign the agent in."""

    def seat(**more):
        return gateway.agent_session(agent.agent_id, agent.agent_password, NUMBER, **more)

    return seat


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_the_agent_is_signed_in_inside_the_block_and_signed_out_after_it(cc, agent, seat):
    session = seat()
    assert cc.stats.requests() == 0
    with session:
        assert cc.signed_in_agents() == [agent.agent_id]
    assert cc.signed_in_agents() == []
    assert (cc.stats.sign_ins("agent"), cc.stats.sign_outs) == (1, 1)


@pytest.mark.parametrize(
    "settings", [{"authmode": 1}, {"authmode": 2}, {"authmode": 2, "guid_from_poll_only": True}]
)
def test_logininfo_tells_the_softphone_that_the_agent_signed_in_with(cc, agent, seat, settings):
    for name, value in settings.items():
        setattr(cc.settings, name, value)
    with seat() as signed_in:
        for _ in range(3):
            info = signed_in.query_login_info()
            assert (info.agent_id, info.softphone_number) == (agent.agent_id, NUMBER)
            assert len(info.phone_token.reveal()) == 32
    assert cc.stats.sign_ins("agent") == 1


def test_a_rotating_guid_is_followed(cc, seat):
    with seat() as signed_in:
        guids = []
        for _ in range(4):
            cc.settings.event_poll = 0.01
            signed_in.poll()
            guids.append(signed_in.guid)
            signed_in.query_login_info()
    assert len(set(guids)) == 4
    assert cc.stats.sign_ins("agent") == 1


def test_a_fixed_guid_stays(cc, seat):
    cc.settings.authmode, cc.settings.event_poll = 1, 0.01
    with seat() as signed_in:
        first = signed_in.guid
        signed_in.poll()
        assert signed_in.guid == first


class Failure(Exception):
    pass


@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
def test_the_agent_is_signed_out_when_the_block_fails(cc, seat, error):
    with pytest.raises(error), seat():
        raise error
    assert cc.signed_in_agents() == []


def test_the_agent_is_signed_out_when_the_first_poll_fails(cc, seat):
    cc.faults.errors, cc.faults.only = {500: 1.0}, {"agentevent"}
    with pytest.raises(CCBusinessError, match="agentevent"), seat():
        pass
    assert cc.signed_in_agents() == []


def test_an_agent_who_was_signed_out_meanwhile_is_no_failure(cc, seat, logged):
    with seat():
        cc.expire_sessions()  # 100-006
    assert "could not be signed out" not in logged.text()


def test_an_agent_who_signed_out_elsewhere_is_no_failure(cc, agent, seat, logged):
    with seat() as signed_in:
        signed_in._sign_out_at_once(signed_in.guid)  # the block's own then gets 100-008
    assert cc.stats.requests("logout") == 2
    assert "could not be signed out" not in logged.text()


def test_a_sign_out_whose_reply_is_lost_is_repeated(cc, seat):
    with seat():
        cc.faults.reset_before, cc.faults.only = 0.6, {"logout"}
    assert cc.signed_in_agents() == []


def test_a_sign_out_that_fails_is_logged_and_does_not_hide_the_failure_before(cc, seat, logged):
    cc.faults.errors, cc.faults.only = {500: 1.0}, {"logout"}
    with pytest.raises(Failure), seat():
        raise Failure
    assert logged.times("could not be signed out (logout: HTTP 500") == 1


def test_a_seat_that_is_taken_is_refused(cc, agent, seat):
    with CCGatewayHook().agent_session(agent.agent_id, agent.password, "88880002"):
        with pytest.raises(CCBusinessError, match="100-002"), seat():
            pass
        assert cc.signed_in_agents() == [agent.agent_id]
    assert cc.stats.requests("onlineagent") == 2


def test_a_seat_that_is_taken_is_taken_over_when_asked_for(cc, agent, seat):
    with (
        CCGatewayHook().agent_session(agent.agent_id, agent.password, "88880002"),
        seat(force=True) as signed_in,
    ):
        assert signed_in.query_login_info().softphone_number == NUMBER
    assert (cc.stats.requests("onlineagent"), cc.stats.requests("forcelogin")) == (1, 1)


@pytest.mark.parametrize("force", [False, True])
def test_a_wrong_password_is_sent_once(cc, agent, gateway, force):
    with (
        pytest.raises(CCAuthError, match="100-004"),
        gateway.agent_session(agent.agent_id, "wrong", NUMBER, force=force),
    ):
        pass
    assert (cc.stats.requests(), cc.stats.refused("agent")) == (1, 1)


@pytest.mark.parametrize("status", [500, 503])
def test_a_sign_in_that_gets_no_usable_answer_is_not_repeated(cc, seat, status):
    cc.faults.errors, cc.faults.only = {status: 1.0}, {"onlineagent"}
    with pytest.raises(CCError, match=f"HTTP {status}"), seat():
        pass
    assert cc.stats.requests() == 1


@pytest.mark.parametrize(
    ("agent_id", "password", "number"),
    [(100, "word", NUMBER), (1_000_000, "word", NUMBER), (10001, " ", NUMBER), (10001, "word", "")],
)
def test_arguments_that_cannot_be_right_send_nothing(cc, gateway, agent_id, password, number):
    with pytest.raises(ValueError, match="must"), gateway.agent_session(agent_id, password, number):
        pass
    assert cc.stats.requests() == 0


# Kept alive


def test_the_agent_stays_signed_in_beyond_the_time_out(cc, seat, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(simulated_gateway, "time", clock)
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.05)
    cc.settings.event_poll = 0.02
    with seat() as signed_in:
        for _ in range(4):
            clock.ahead += 0.4 * cc.settings.agent_timeout
            polls = cc.stats.requests("agentevent")
            wait_for(lambda polls=polls: cc.stats.requests("agentevent") > polls + 1)
        assert signed_in.query_login_info().softphone_number == NUMBER
    assert (cc.stats.sign_ins("agent"), cc.stats.time_outs) == (1, 0)


def test_without_polls_the_agent_would_not(cc, seat):
    with seat():
        cc.settings.agent_timeout = 0.3
        wait_for(lambda: cc.signed_in_agents() == [])
    assert cc.stats.time_outs == 1


def test_calls_and_polls_take_turns_so_that_none_carries_an_old_guid(cc, seat, monkeypatch):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.001)
    cc.settings.event_poll = 0.002
    calls = []
    with seat() as signed_in:

        def ask_once_more():
            calls.append(signed_in.query_login_info())
            return len(calls) >= 12 and cc.stats.requests("agentevent") > 5

        wait_for(ask_once_more)
    assert (cc.stats.sign_ins("agent"), cc.stats.requests("logininfo")) == (1, len(calls))


def test_a_poll_that_fails_is_not_the_last_one(cc, seat, monkeypatch, logged):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)
    cc.settings.event_poll = 0.01
    with seat():
        cc.faults.errors, cc.faults.only = {500: 1.0}, {"agentevent"}
        wait_for(lambda: "the event poll failed" in logged.text())
        cc.faults.errors = {}
        polls = cc.stats.requests("agentevent")
        wait_for(lambda: cc.stats.requests("agentevent") > polls + 2)
    assert cc.stats.sign_ins("agent") == 1


def test_polls_end_with_the_block(cc, seat, monkeypatch):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)
    cc.settings.event_poll = 0.01
    with seat():
        wait_for(lambda: cc.stats.requests("agentevent") > 2)
    polls = cc.stats.requests("agentevent")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cc-agent")]
    assert cc.stats.requests("agentevent") == polls


# Signed out by someone else


@pytest.mark.parametrize("settings", [{"authmode": 1}, {}, {"guid_from_poll_only": True}])
def test_an_agent_who_was_signed_out_is_signed_in_again_once(cc, agent, seat, settings):
    for name, value in settings.items():
        setattr(cc.settings, name, value)
    with seat() as signed_in:
        cc.expire_sessions()
        assert signed_in.query_login_info().softphone_number == NUMBER
        assert cc.signed_in_agents() == [agent.agent_id]
    assert cc.stats.sign_ins("agent") == 2
    assert cc.signed_in_agents() == []


def test_an_agent_whose_password_was_changed_meanwhile_is_tried_once(cc, seat):
    with seat() as signed_in:
        cc.expire_sessions()
        cc.faults.refuse_sign_ins = {"agent"}
        with pytest.raises(CCAuthError, match="100-004"):
            signed_in.query_login_info()
    assert cc.stats.refused("agent") == 1


def test_an_agent_whom_someone_else_signed_in_is_not_taken_back(cc, agent, seat, logged):
    other = CCGatewayHook()
    with seat() as signed_in, other.agent_session(agent.agent_id, agent.password, "88880002", force=True):
        with pytest.raises(CCBusinessError, match="100-002"):
            signed_in.query_login_info()
        signed_in.end_at_once()
        assert cc.signed_in_agents() == [agent.agent_id]
    assert logged.times("could not be signed out (logout: 000-003") == 1
    assert cc.stats.requests("forcelogin") == 1


def test_a_forced_sign_in_is_made_once(cc, agent, seat):
    with seat(force=True) as signed_in:
        cc.expire_sessions()
        signed_in.query_login_info()
    assert (cc.stats.requests("forcelogin"), cc.stats.requests("onlineagent")) == (1, 1)


# Killed


@pytest.mark.parametrize("settings", [{"authmode": 1}, {"authmode": 2}])
def test_it_is_signed_out_at_once_while_a_poll_is_open(cc, gateway, seat, monkeypatch, settings):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)
    for name, value in settings.items():
        setattr(cc.settings, name, value)
    with seat():
        polls = cc.stats.requests("agentevent")
        cc.settings.event_poll = 8.0
        wait_for(lambda: cc.stats.requests("agentevent") > polls)
        time.sleep(0.2)  # it is open now
        begun = time.monotonic()
        gateway.sign_out_agents()
        assert time.monotonic() - begun < 3
        assert cc.signed_in_agents() == []
        cc.settings.event_poll = 0.01
    assert cc.stats.requests("logout") == 1


def test_a_gateway_that_does_not_answer_does_not_hold_up_the_end(cc, gateway, seat):
    with seat():
        cc.faults.latency, cc.faults.only = 5.0, {"logout"}
        begun = time.monotonic()
        gateway.sign_out_agents()
        assert time.monotonic() - begun < 3


def test_an_agent_who_is_signed_in_after_the_end_is_signed_out_again(cc, gateway, seat):
    cc.faults.latency, cc.faults.only = 0.5, {"onlineagent"}
    timer = threading.Timer(0.2, gateway.sign_out_agents)
    timer.start()
    with pytest.raises(CCError, match="being stopped"), seat():
        pass
    timer.join()
    assert cc.signed_in_agents() == []


# A Guid from elsewhere


def test_logininfo_is_asked_once_with_a_guid_from_elsewhere(cc, agent, seat, gateway):
    with seat() as signed_in:
        assert gateway.query_login_info(agent.agent_id, guid=signed_in.guid).softphone_number == NUMBER
        with pytest.raises(CCAuthError, match="000-003"):
            gateway.query_login_info(agent.agent_id, guid="another.AgentGateway1")
    assert cc.stats.requests("logininfo") == 2


@pytest.mark.parametrize("guid", ["", "two words", "new\r\nHeader: x", "ä"])
def test_a_guid_that_no_header_can_carry_sends_nothing(cc, gateway, guid):
    with pytest.raises((CCConfigError, ValueError), match="guid"):
        gateway.query_login_info(10001, guid=guid)
    assert cc.stats.requests() == 0


@pytest.mark.parametrize("agent_id", [100, 1_000_000, "x", None])
def test_logininfo_of_what_is_no_agent_sends_nothing(cc, gateway, agent_id):
    with pytest.raises(ValueError, match="agent_id must be"):
        gateway.query_login_info(agent_id, guid="some.AgentGateway1")
    assert cc.stats.requests() == 0
