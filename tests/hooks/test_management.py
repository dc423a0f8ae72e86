"""CC-Management: one agent, an account's softphone, the directory."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cc.api.management import AgentInfo, DirectoryAgent
from airflow_provider_cc.exceptions import CCBusinessError, CCResponseError
from airflow_provider_cc.hooks.management import CCManagementHook
from tests.hooks.support import PLAIN, TOKEN, http, info, read_request

LAST = "agent000099"


@pytest.mark.parametrize("vary_types", [False, True])
def test_an_agent_is_found_by_account(cc, management, vary_types):
    cc.faults.vary_types = vary_types
    agent = cc.agent(LAST)
    assert management.query_agent_info(LAST) == AgentInfo(
        LAST, agent.agent_id, agent.agent_type, agent.agent_status
    )


@pytest.mark.parametrize(("answer", "code"), [("0", "no_agent"), ("1", "1")])
def test_an_account_that_nobody_has_is_a_business_failure(cc, management, answer, code):
    cc.settings.missing_account_code = answer
    with pytest.raises(CCBusinessError) as failure:
        management.query_agent_info("nobody")
    assert (failure.value.endpoint, failure.value.code) == ("queryAgentInfoByAccount", code)


@pytest.mark.parametrize("arguments", [("",), ("a" * 65,), (7094,)])
def test_an_account_that_cannot_be_sends_nothing(cc, management, arguments):
    with pytest.raises(ValueError, match="account_code must"):
        management.query_agent_info(*arguments)
    assert cc.stats.requests() == 0


@pytest.mark.parametrize("vary_types", [False, True])
def test_an_accounts_softphone_is_found(cc, management, vary_types):
    cc.faults.vary_types = vary_types
    agent = cc.agent(LAST)
    found = management.query_agent_login_params(LAST, agent.password)
    assert (found.account, found.agent_id) == (LAST, agent.agent_id)
    assert found.softphone_number == agent.softphone_number
    assert [(server.host, server.port, server.node, server.type) for server in found.sip_servers] == [
        ("10.10.10.11", "33", None, "0"),
        ("10.10.10.12", "8443", "1", "1"),
    ]


@pytest.mark.parametrize("arguments", [("", "p"), ("a" * 101, "p"), ("a", ""), ("a", "p" * 101)])
def test_login_parameters_that_cannot_be_send_nothing(cc, management, arguments):
    with pytest.raises(ValueError, match="must"):
        management.query_agent_login_params(*arguments)
    assert cc.stats.requests() == 0


@pytest.mark.parametrize(("page_size", "pages"), [(100, 2), (50, 3), (33, 4)])
def test_the_directory_is_read_to_its_end(cc, management, page_size, pages):
    agents = list(management.query_agents(page_size=page_size))
    assert [agent.account for agent in agents] == list(cc.accounts())
    assert cc.stats.requests("agentAccount/query") == pages


def test_a_line_of_the_directory_has_no_personal_data(cc, management):
    agent, found = cc.agent("agent000000"), next(management.query_agents())
    assert found == DirectoryAgent(agent.account, agent.agent_id, agent.agent_type, agent.softphone_number)


def test_the_directory_can_be_asked_for_some_types(cc, management):
    found = {agent.agent_type for agent in management.query_agents(agent_types=[5, 11])}
    assert found == {5, 11}


def test_an_empty_directory_is_read(start):
    cc = start(agents=0)
    assert list(CCManagementHook().query_agents()) == []
    assert cc.stats.requests("agentAccount/query") == 2  # page 0 is empty, too, where numbers begin with 1


@pytest.mark.parametrize("page_size", [0, -1])
def test_a_page_size_below_one_sends_nothing(cc, management, page_size):
    with pytest.raises(ValueError, match="page_size"):
        list(management.query_agents(page_size=page_size))
    assert cc.stats.requests() == 0


@pytest.mark.parametrize(("larger_pages", "total"), [("refused", True), ("cut", True), ("cut", False)])
def test_a_center_that_accepts_shorter_pages_gets_them(cc, management, larger_pages, total):
    cc.settings.max_page_size, cc.settings.larger_pages = 30, larger_pages
    cc.settings.directory_omits = frozenset() if total else frozenset({"total"})
    assert [agent.account for agent in management.query_agents()] == list(cc.accounts())


def test_a_center_that_refuses_every_page_is_a_failure(cc, management):
    cc.settings.max_page_size = 5
    with pytest.raises(CCBusinessError, match="HTTP 500"):
        list(management.query_agents())


def test_a_directory_that_gives_less_than_it_says_is_a_failure(cc, management):
    cc.settings.directory_omits = frozenset({"data"})
    with pytest.raises(CCResponseError, match="incomplete: 100 of 100 entries are missing"):
        list(management.query_agents())


def test_a_directory_without_a_total_is_read_to_its_end(cc, management):
    cc.settings.directory_omits = frozenset({"total", "workNo"})
    agents = list(management.query_agents(page_size=40))
    assert [agent.account for agent in agents] == list(cc.accounts())
    assert {agent.agent_id for agent in agents} == {None}


def test_a_session_that_lapses_between_two_pages_is_mended(cc, management):
    agents = management.query_agents(page_size=10)
    first = next(agents)
    assert cc.stats.requests("agentAccount/query") == 1  # page by page
    cc.expire_sessions()
    assert [first.account, *(agent.account for agent in agents)] == list(cc.accounts())
    assert cc.stats.sign_ins() == 2


@pytest.mark.parametrize("slash", ["", "/"])
def test_any_further_interface_can_be_called(cc, management, slash):
    path = f"{slash}apiaccess/rest/cc-management/v1/agentAccount/query"
    reply = management.call(path, json={"userAccount": LAST})
    assert [row["userAccount"] for row in reply["data"]] == [LAST]


def test_a_further_interface_may_have_an_address_among_its_arguments(start):
    cc = start(record=True)
    with pytest.raises(CCBusinessError, match="HTTP 404"):
        CCManagementHook().call("/apiaccess/x?back=https://else.example/")
    assert cc.stats.recorded[-1].path == "/apiaccess/x?back=https://else.example/"


def test_get_conn_is_a_session_without_credentials(cc, management):
    management.send(info())
    session = management.get_conn()
    assert session.auth is None
    assert not {"Authorization", "X-APP-Key", "Guid"} & set(session.headers)


def test_the_vendors_list_of_all_agents_is_read_without_its_passwords(serve, connect):
    """A GET whose path is misspelled by the vendor, and whose reply has no code."""
    agents = [{"workNo": "1516", "sipAccount": "88887818", "sipPwd": "canary", "accountCode": "ls120201"}]
    body = {"sipServiceIp": "10.10.10.11", "sipServicePort": "33", "agents": agents, "password": "canary"}
    asked = []

    def handle(connection):
        request = read_request(connection)
        asked.append(request.split(b"\r\n")[0])
        token = TOKEN.encode() in request
        connection.sendall(http(b'{"AccessToken":"t"}' if token else json.dumps(body).encode()))

    connect("cc_management_default", PLAIN, port=serve(handle).port)
    reply = CCManagementHook().call("/apiaccess/CC-Mangemant/v1/queryAgentInfo", method="GET")

    assert asked[-1] == b"GET /apiaccess/CC-Mangemant/v1/queryAgentInfo HTTP/1.1"
    assert reply == {
        "sipServiceIp": "10.10.10.11",
        "sipServicePort": "33",
        "agents": [{"workNo": "1516", "sipAccount": "88887818", "accountCode": "ls120201"}],
    }
