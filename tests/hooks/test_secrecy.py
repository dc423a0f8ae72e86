"""No secret in any log record, traceback or exception, of whatever library, on success and on failure."""

from __future__ import annotations

import traceback

import pytest

from airflow_provider_cc.exceptions import CCError
from airflow_provider_cc.hooks import agent as agent_module
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.simulator import Faults
from tests.hooks.support import TASKS, VDN_AGENTS, at_once, info

ACCOUNT = "agent000000"
WRONG = "WrongPass-umber-glacier-3f6b"


def ask_everything(cc, said):
    """Use every method of every hook; failures are noted with their tracebacks."""
    agent, settings = cc.agent(ACCOUNT), cc.settings
    management, gateway, isales = CCManagementHook(), CCGatewayHook(), CCISalesHook()
    guids = []

    def attempt(ask):
        try:
            said.append(repr(ask()))
        except (CCError, ValueError) as error:
            said.append("".join(traceback.format_exception(error)))
            said.append(f"{error!r} {error.args} {vars(error)}")

    def seat():
        with gateway.agent_session(agent.agent_id, agent.agent_password, agent.softphone_number) as seat:
            guids.append(seat.guid)
            return [seat.query_login_info() for _ in range(2)]

    attempt(lambda: management.query_agent_info(ACCOUNT))
    attempt(lambda: management.query_agent_info("nobody"))
    attempt(
        lambda: management.query_agent_info(
            ACCOUNT, username=settings.user_name, password=settings.user_password
        )
    )
    attempt(lambda: management.query_agent_info(ACCOUNT, username=settings.user_name, password=WRONG))
    attempt(lambda: management.query_agent_login_params(ACCOUNT, agent.password))
    attempt(lambda: management.query_agent_login_params(ACCOUNT, WRONG))
    attempt(lambda: next(management.query_agents(page_size=50)))
    attempt(lambda: management.call("/apiaccess/none", json={}))
    attempt(lambda: at_once(management, [info(), info("nobody")]))
    attempt(gateway.login)
    attempt(lambda: gateway.call("GET", VDN_AGENTS)["retcode"])
    attempt(lambda: gateway.call("GET", "config/none"))
    attempt(seat)
    attempt(lambda: gateway.query_login_info(agent.agent_id, guid=f"{WRONG}.AgentGateway1"))
    attempt(lambda: gateway.query_login_info(agent.agent_id, guid=f"{WRONG} two words"))
    attempt(lambda: gateway.agent_session(agent.agent_id, WRONG, "88880001").__enter__())
    attempt(isales.login)
    attempt(isales.refresh)
    attempt(lambda: isales.call(TASKS))
    attempt(lambda: isales.call("business/none"))
    attempt(lambda: CCAgentHook().credentials)
    for hook in (management, gateway, isales, CCAgentHook()):
        attempt(hook.test_connection)
        attempt(lambda hook=hook: vars(hook).get("settings"))
        attempt(lambda hook=hook: vars(hook))


@pytest.fixture
def canaries(cc, logged):
    """Ask everything; give everything that was said, and every secret that was used."""

    def canaries():
        said = []
        ask_everything(cc, said)
        agent = cc.agent(ACCOUNT)
        secrets = {WRONG, agent.password, agent.agent_password, agent.sip_password, *cc.secrets()}
        return f"{logged.text()}\n{said}", secrets

    return canaries


def leaked(text, secrets):
    assert len(secrets) > 8
    # Also no beginning of one, as some like to log "the first ten characters".
    return [secret for secret in secrets if secret in text or secret[:12] in text]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(vary_types=True),
        Faults(html_errors=True, errors={500: 0.5}),
        Faults(errors={401: 0.3, 503: 0.3}),
        Faults(reset_before=0.2, reset_midway=0.2),
        Faults(truncated=0.5),
        Faults(empty=1.0),
        Faults(refuse_sign_ins={"management", "gateway", "agent", "isales"}),
    ],
    ids=["types", "HTML", "errors", "resets", "truncated", "empty", "refused"],
)
def test_no_secret_is_said(cc, canaries, monkeypatch, faults):
    monkeypatch.setattr(agent_module, "POLL_EVERY", 0.01)
    cc.settings.echo_secrets, cc.settings.refused_status, cc.settings.event_poll = True, 200, 0.01
    for name, value in vars(faults).items():
        setattr(cc.faults, name, value)
    text, secrets = canaries()
    assert leaked(text, secrets) == []


@pytest.mark.parametrize("fault", ["connection", "certificate", "time-out"])
def test_no_secret_is_said_when_no_reply_comes(cc, reconnect, canaries, fault):
    for conn_id in ("cc_management_default", "cc_gateway_default", "cc_isales_default"):
        if fault == "certificate":
            reconnect(conn_id, extra={"verify": True})
        if fault == "time-out":
            reconnect(conn_id, extra={"timeout": 0.02})
            cc.faults.latency = 0.05
        if fault == "connection":
            reconnect(conn_id, port=1)
    text, secrets = canaries()
    assert leaked(text, secrets) == []


def test_the_watch_is_kept_over_all_that_speaks(cc, canaries):
    cc.settings.echo_secrets = True
    text, secrets = canaries()
    assert leaked(text, secrets) == []
    for speaker in ("Signed in to CC-Management", "is signed in.", "urllib3.connectionpool", "config/none"):
        assert speaker in text


def test_the_watch_would_see_a_secret(cc, logged):
    import logging

    logging.getLogger("urllib3").debug("header %s", cc.settings.app_secret)
    CCManagementHook().log.info("header %s", "Some-other-canary")
    assert leaked(logged.text(), {cc.settings.app_secret, *map(str, range(10**12, 10**12 + 9))}) == [
        cc.settings.app_secret
    ]
    assert "Some-other-canary" in logged.text()


def test_secrets_are_told_to_airflows_masker(cc, monkeypatch):
    masked = []
    for module in ("base", "gateway", "agent"):
        monkeypatch.setattr(f"airflow_provider_cc.hooks.{module}.mask_secret", masked.append)
    monkeypatch.setattr(agent_module, "POLL_EVERY", 60)
    ask_everything(cc, [])
    agent = cc.agent(ACCOUNT)
    wanted = cc.secrets() - {cc.settings.user_password, cc.settings.vdn_password}
    assert (wanted | {agent.agent_password}) - set(masked) == set()


def test_only_secrets_are(cc, monkeypatch):
    masked = []
    monkeypatch.setattr("airflow_provider_cc.hooks.base.mask_secret", masked.append)
    hook = CCManagementHook()
    for _ in range(50):
        hook.query_agent_info(ACCOUNT)
    assert len(masked) == 2  # the app secret and the token
