"""The directory in pages, and the population behind it."""

from __future__ import annotations

import json
import sys
from itertools import islice

import pytest

from airflow_provider_cc.simulator import Settings, Simulator
from airflow_provider_cc.simulator.population import Population


def pages(client, size=7, **body):
    """All rows of all pages, and the total of the first."""
    headers, rows, number, total = client.bearer(), [], 0, None
    while True:
        reply = client.directory({"pageNum": number, "pageSize": size, **body}, headers).json()
        assert reply["resultCode"] == "0"
        total = reply["total"] if total is None else total
        if not reply["data"]:
            return rows, total
        rows += reply["data"]
        number += 1


def test_the_pages_hold_every_agent_once_and_in_order(client):
    rows, total = pages(client)
    assert total == 50
    assert [row["userAccount"] for row in rows] == list(client.cc.accounts())


def test_a_row_says_what_the_agent_is(client):
    agent = client.cc.agent("agent000042")
    reply = client.directory({"userAccount": agent.account}).json()
    assert reply["total"] == 1
    assert reply["data"] == [
        {
            "skills": reply["data"][0]["skills"],
            "userAccount": agent.account,
            "workNo": agent.agent_id,
            "agentType": agent.agent_type,
            "sipAccount": agent.softphone_number,
            "ccRoleId": 2,
            "userName": agent.user_name,
            "phone": agent.phone,
            "email": agent.email,
        }
    ]
    for secret in (agent.password, agent.agent_password, agent.sip_password):
        assert secret not in json.dumps(reply)


def test_a_user_account_makes_other_parameters_void(client):
    reply = client.directory({"userAccount": "agent000001", "pageNum": "x", "pageSize": 10_000}).json()
    assert [row["userAccount"] for row in reply["data"]] == ["agent000001"]


def test_an_unknown_account_is_an_empty_success(client):
    reply = client.directory({"userAccount": "nobody"}).json()
    assert (reply["resultCode"], reply["total"], reply["data"]) == ("0", 0, [])


def test_types_can_be_chosen(client):
    client.cc.change_agent("agent000000", agent_type=11)
    client.cc.add_agent("extra", agent_type=99)
    expected = [a for a in client.cc.accounts() if client.cc.agent(a).agent_type in (11, 99)]
    rows, total = pages(client, agentType=[11, 99])
    assert [row["userAccount"] for row in rows] == expected
    assert total == len(expected)
    assert pages(client, agentType=[]) == pages(client)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pageNum": 0},
        {"pageSize": 10},
        {"pageNum": "0", "pageSize": 10},
        {"pageNum": -1, "pageSize": 10},
        {"pageNum": 0, "pageSize": 0},
        {"pageNum": 0.0, "pageSize": 10},
        {"pageNum": True, "pageSize": 10},
        {"pageNum": 0, "pageSize": 10, "agentType": 4},
        {"pageNum": 0, "pageSize": 10, "agentType": ["4"]},
        {"pageNum": 0, "pageSize": 10, "agentTypes": [4]},
        {"requestParams": {"pageNum": 0, "pageSize": 10}},
        {"userAccount": 42},
    ],
)
def test_a_bad_request_is_400(client, body):
    assert client.directory(body).status_code == 400


def test_a_page_above_the_maximum_is_a_business_failure(client):
    reply = client.directory({"pageNum": 0, "pageSize": 101})
    assert (reply.status_code, reply.json()["resultCode"]) == (500, "1")
    client.cc.settings.max_page_size = 101
    assert client.directory({"pageNum": 0, "pageSize": 101}).status_code == 200


def test_fields_that_the_vendors_samples_lack_can_be_left_out(client):
    client.cc.settings.directory_omits = frozenset({"workNo", "total"})
    reply = client.directory({"pageNum": 0, "pageSize": 2}).json()
    assert "total" not in reply
    assert all("workNo" not in row for row in reply["data"])


def test_agents_come_change_and_go_while_pages_are_served(client):
    cc = client.cc
    served = []

    def between_pages(number):
        served.append(number)
        if number == 1:
            cc.remove_agent("agent000000")
            cc.add_agent("late")
            cc.change_agent("agent000049", softphone_number="123")

    cc.on_directory_page = between_pages
    rows, total = pages(client, size=10)
    accounts = [row["userAccount"] for row in rows]
    assert served == [0, 1, 2, 3, 4, 5]
    assert total == 50
    # One agent less on an earlier page: the first of this page has slipped off it unseen.
    assert "agent000010" not in accounts
    assert accounts[-1] == "late"
    assert rows[-2]["sipAccount"] == "123"
    cc.on_directory_page = None
    assert pages(client, size=10)[1] == 50
    assert len(served) == 6


def test_pages_agree_with_a_plain_list_after_many_changes():
    population = Population(200, seed=3)
    for index in range(0, 200, 7):
        population.remove(f"agent{index:06d}")
    for index in range(1, 200, 7):
        population.change(f"agent{index:06d}", {"agent_type": 99 if index % 2 else 4})
    for index in range(5):
        population.add(f"new{index}", {"agent_type": 99})
    population.add("agent000014", {})
    population.remove("new2")
    everyone = [population.find(account) for account in population.accounts()]
    for types in (None, [4], [99], [4, 5, 11], [255]):
        expected = [agent for agent in everyone if types is None or agent.agent_type in types]
        for size in (1, 9, 64, 300):
            found = []
            for number in range(400 // size + 1):
                agents, total = population.page(number * size, size, types)
                assert total == len(expected)
                found += agents
            assert found == expected


def test_a_million_agents_take_no_memory():
    with Simulator(Settings(agents=5_000_000, tls=False)) as cc:
        assert cc.agent("agent4999999").agent_id == 10_001 + 4_999_999
        assert list(islice(cc.accounts(), 2)) == list(cc.accounts(limit=2)) == ["agent000000", "agent000001"]
        population = cc._site.population
        assert population.page(4_999_990, 100)[0][-1].account == "agent4999999"
        held = (population.changed, population.added, population.removed)
        assert sum(map(sys.getsizeof, held)) < 1000


def test_the_seed_decides_who_works_there():
    one, same, other = Population(100, 1), Population(100, 1), Population(100, 2)
    assert one.page(0, 100) == same.page(0, 100)
    assert one.page(0, 100) != other.page(0, 100)


def test_no_two_agents_share_an_id_or_a_softphone():
    agents, _ = Population(3000, 1).page(0, 3000)
    assert len({agent.agent_id for agent in agents}) == 3000
    assert len({agent.softphone_number for agent in agents}) == 3000
    assert {agent.agent_type for agent in agents} == {4, 5, 11, 99}


@pytest.mark.parametrize(
    "account", ["agent42", "agent0000042", "agent000050", "Agent000042", "agent00004²", ""]
)
def test_only_one_spelling_names_an_agent(client, account):
    with pytest.raises(KeyError):
        client.cc.agent(account)


def test_an_agent_is_found_by_its_id_only_while_it_has_it():
    population = Population(10, 1)
    population.change("agent000003", {"agent_id": 7})
    assert population.find_id(7).account == "agent000003"
    assert population.find_id(10_004) is None
    population.remove("agent000003")
    assert population.find_id(7) is None
    assert population.find_id(10_003).account == "agent000002"


def test_changes_are_checked(client):
    cc = client.cc
    for change in (cc.remove_agent, cc.change_agent, cc.lock_agent):
        with pytest.raises(KeyError):
            change("nobody")
    with pytest.raises(ValueError, match="exists already"):
        cc.add_agent("agent000001")
    with pytest.raises((TypeError, ValueError), match="unexpected field"):  # which, depends on Python
        cc.change_agent("agent000001", softphone="1")
    with pytest.raises(ValueError, match="between 0 and"):
        Simulator(Settings(agents=-1))
