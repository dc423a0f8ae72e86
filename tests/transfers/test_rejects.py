"""An account that cannot be read becomes a reject that says why; the run goes on, up to a limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cc.exceptions import CCAuthError, CCError
from airflow_provider_cc.simulator import Simulator
from tests.transfers.conftest import Log, MakeCenter, Sync
from tests.transfers.database import Database, on_each_database

INFO = "queryAgentInfoByAccount"
GOOD = {"returnCode": "0", "description": "", "data": {"workNo": 7, "agentType": 4, "agentStatus": "0"}}


def info(**data: Any) -> dict[str, Any]:
    return {**GOOD, "data": {"workNo": 7, "agentType": 4, "agentStatus": "0", **data}}


REPLIES: dict[str, tuple[int, Any, str]] = {
    "html": (200, "<html>Please sign in</html>", "not_json"),
    "empty": (200, b"", "not_json"),
    "cut short": (200, b'{"returnCode":"0","data":{"workNo":7', "not_json"),
    "no object": (200, [GOOD], "not_json"),
    "null": (200, b"null", "not_json"),
    "bytes that are no text": (200, b"\xff\xfe{}", "not_json"),
    "unknown envelope": (200, {"status": "ok", "payload": {}}, "missing_code"),
    "no data": (200, {"returnCode": "0"}, "unexpected_format"),
    "data is a list": (200, {"returnCode": "0", "data": [1]}, "unexpected_format"),
    "data is a text": (200, {"returnCode": "0", "data": "7"}, "unexpected_format"),
    "agent ID is no number": (200, info(workNo="seven"), "unexpected_format"),
    "agent ID is an object": (200, info(workNo={"id": 7}), "unexpected_format"),
    "agent ID is negative": (200, info(workNo=-7), "unexpected_format"),
    "agent ID is zero": (200, info(workNo=0), "unexpected_format"),
    "agent ID is too large": (200, info(workNo=10**12), "unexpected_format"),
    "agent type is no number": (200, info(agentType="audio"), "unexpected_format"),
    "agent status is an object": (200, info(agentStatus={"a": 1}), "unexpected_format"),
    "agent status is too long": (200, info(agentStatus="x" * 65), "unexpected_format"),
    "agent ID is empty": (200, info(workNo=""), "no_agent"),
    "agent ID is missing": (200, {"returnCode": "0", "data": {"agentType": 4}}, "no_agent"),
    "unknown code": (200, {"returnCode": "42", "description": "no"}, "42"),
    "code is a number": (200, {"returnCode": 1, "description": "no"}, "1"),
    "HTTP 400": (400, {"error": "x"}, "HTTP 400"),
    "HTTP 404": (404, "<html>gone</html>", "HTTP 404"),
    "HTTP 500": (500, b"", "HTTP 500"),
    "HTTP 302": (302, b"", "HTTP 302"),
    "HTTP 418": (418, b"teapot", "HTTP 418"),
}


def rejects(database: Database, table: str = "cc_agent_reject") -> list[tuple[Any, ...]]:
    return database.query(
        f"SELECT account, endpoint, code FROM {table} WHERE endpoint <> '' ORDER BY account"
    )


def assert_staged(database: Database, rejected: list[tuple[Any, ...]]) -> None:
    """A run that failed for its rejects keeps them staged, where they can be looked up, and nothing else."""
    assert rejects(database, "cc_agent_stage") == sorted(rejected)
    for table in ("cc_agent", "cc_agent_reject"):
        assert database.query(f"SELECT * FROM {table}") == []


def test_a_reply_that_cannot_be_used_is_a_reject(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(3 * len(REPLIES))
    asked = dict(zip(list(center.accounts())[::3], REPLIES.items(), strict=True))
    center.faults.overrides = {account: (status, body) for account, (_, (status, body, _)) in asked.items()}

    sqlite_sync(accounts=list(center.accounts()), softphones="none")

    names = {account: name for account, (name, _) in asked.items()}
    found = {names[account]: (endpoint, code) for account, endpoint, code in rejects(sqlite_database)}
    assert found == {name: (INFO, code) for name, (*_, code) in REPLIES.items()}
    assert sqlite_database.query("SELECT COUNT(*) FROM cc_agent") == [(2 * len(REPLIES),)]


def test_a_reject_leaves_the_row_as_it_was(center: Simulator, database: Database, sync: Sync) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none")
    before = database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'")
    center.faults.overrides = {"agent000003": (200, info(workNo=8, agentType="?"))}

    counts = sync(accounts=accounts, softphones="none")

    assert counts["rejected"] == 1
    assert database.query("SELECT * FROM cc_agent WHERE account = 'agent000003'") == before


def test_a_reject_has_the_key_and_the_stamp_of_its_run(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync(accounts=["nobody", "agent000001"], softphones="none", run_id="the run", tenant="north")

    ((dag_id, task_id, run_id, map_index, tenant, at),) = database.query(
        "SELECT dag_id, task_id, run_id, map_index, tenant, rejected_at FROM cc_agent_reject"
    )
    assert (dag_id, task_id, run_id, map_index, tenant) == ("adhoc_airflow", "sync", "the run", -1, "north")
    assert [(at,)] == database.query("SELECT started_at FROM cc_sync_run")


def test_the_message_says_what_the_center_said(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    text = "Konto 'gesperrt' \x1b[31m\r\n" + "x" * 5000
    center.faults.overrides = {"agent000003": (200, {"returnCode": "42", "description": text})}

    sqlite_sync(accounts=list(center.accounts()), softphones="none")

    ((message,),) = sqlite_database.query("SELECT message FROM cc_agent_reject")
    assert message.startswith("Konto 'gesperrt' [31m")
    assert message.isprintable()
    assert len(message) == 500


@on_each_database
def test_a_long_code_is_cut_and_nul_characters_do_not_stop_the_run(
    center: Simulator, database: Database, sync: Sync
) -> None:
    center.faults.overrides = {
        "agent000002": (200, {"returnCode": "9" * 3000}),
        "agent000003": (200, {"returnCode": "4\0002", "description": "a\0b"}),
        "agent000004": (200, info(agentStatus="a\0b")),
    }

    counts = sync(accounts=list(center.accounts()), softphones="none")

    assert counts["rejected"] == 3
    codes = database.query("SELECT code FROM cc_agent_reject WHERE account = 'agent000002'")
    assert codes == [("9" * 100,)]


def test_an_account_that_does_not_exist_is_a_reject(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    for code in ("0", "1"):
        center = make_center(3, missing_account_code=code)
        sync(accounts=["nobody", *center.accounts()], softphones="none")

    assert {code for _, _, code in rejects(database)} == {"no_agent", "1"}


def test_lines_of_the_directory_without_agent_id_are_asked_for(
    make_center: MakeCenter, database: Database, sync: Sync
) -> None:
    center = make_center(3, directory_omits=frozenset({"workNo"}))
    center.faults.overrides = {"agent000002": (200, info(workNo=""))}

    counts = sync()

    agents = [center.agent(account) for account in ("agent000000", "agent000001")]
    assert sorted(database.query("SELECT account, agent_id FROM cc_agent")) == [
        (agent.account, agent.agent_id) for agent in agents
    ]
    assert (counts["synced"], counts["rejected"], counts["skipped"]) == (2, 0, 1)
    assert rejects(database) == []


def test_a_line_of_the_directory_that_cannot_be_read_is_a_reject(
    center: Simulator, database: Database, sync: Sync
) -> None:
    sync()
    center.change_agent("agent000003", agent_id="seven")

    counts = sync()

    assert (counts["synced"], counts["rejected"], counts["deactivated"]) == (11, 1, 0)
    assert rejects(database) == [("agent000003", "agentAccount/query", "unexpected_format")]
    assert database.query("SELECT is_active FROM cc_agent WHERE account = 'agent000003'") in (
        [(1,)],
        [(True,)],
    )


def test_a_line_that_cannot_be_read_rejects_only_its_account_in_a_list(
    center: Simulator, database: Database, sync: Sync
) -> None:
    center.change_agent("agent000003", softphone_number={"a": 1})

    counts = sync(accounts=list(center.accounts()))

    assert (counts["synced"], counts["rejected"]) == (11, 1)
    assert rejects(database) == [("agent000003", "agentAccount/query", "unexpected_format")]


# How many are too many


def with_missing(center: Simulator, missing: int) -> list[str]:
    accounts = list(center.accounts())
    for account in accounts[:missing]:
        center.remove_agent(account)
    return accounts


@pytest.mark.parametrize(
    ("limit", "missing"), [(0.5, 6), (0.25, 3), (6, 6), (1.0, 11), (1, 1), (0, 0), (0.0, 0)]
)
def test_as_many_rejects_as_allowed_pass(
    center: Simulator, sqlite_sync: Sync, limit: float, missing: int
) -> None:
    counts = sqlite_sync(accounts=with_missing(center, missing), softphones="none", max_rejects=limit)

    assert counts["rejected"] == missing


@pytest.mark.parametrize(("limit", "missing"), [(0.5, 7), (0.25, 4), (6, 7), (1, 2), (0, 1), (0.0, 1)])
def test_one_reject_more_fails(
    center: Simulator, sqlite_database: Database, sqlite_sync: Sync, limit: float, missing: int
) -> None:
    accounts = with_missing(center, missing)

    with pytest.raises(CCError, match=f"{missing} accounts rejected, more than max_rejects={limit}"):
        sqlite_sync(accounts=accounts, softphones="none", max_rejects=limit)

    assert_staged(sqlite_database, [(account, INFO, "no_agent") for account in accounts[:missing]])


def test_too_many_rejects_stop_the_run_early(make_center: MakeCenter, database: Database, sync: Sync) -> None:
    center = make_center(400)
    accounts = with_missing(center, 300)

    with pytest.raises(CCError, match="max_rejects=10"):
        sync(accounts=accounts, softphones="none", max_rejects=10, chunk_size=20)

    assert center.stats.requests(INFO) < 200


def test_all_rejected_fails_whatever_is_allowed(center: Simulator, database: Database, sync: Sync) -> None:
    accounts = with_missing(center, 12)

    with pytest.raises(CCError, match="all 12 accounts were rejected"):
        sync(accounts=accounts, softphones="none", max_rejects=1.0)

    assert database.query("SELECT finished_at, error, rejected FROM cc_sync_run") == [
        (None, "all 12 accounts were rejected", 12)
    ]
    assert_staged(database, [(account, INFO, "no_agent") for account in accounts])


# What the log and the tables do not say


def test_the_log_sums_rejects_up_by_endpoint_and_code(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    center.faults.overrides = {"agent000003": (200, "<html>"), "agent000004": (200, "<html>")}

    sqlite_sync(accounts=["", None, "nobody", *center.accounts()], softphones="none")

    said = {message for message in log.messages if "rejected:" in message}
    assert said == {
        f"2 accounts rejected: {INFO}: not_json",
        f"1 accounts rejected: {INFO}: no_agent",
        "2 accounts rejected: account_code: bad_code",
    }


def test_a_run_returns_its_table_its_active_agents_and_why_accounts_were_rejected(
    center: Simulator, database: Database, sync: Sync
) -> None:
    accounts = list(center.accounts())
    sync(accounts=accounts, softphones="none", tenant="north")
    center.faults.overrides = dict.fromkeys(accounts[:2], (200, "<html>"))

    asked = ["", "nobody", "else", "x", *accounts[:7]]
    result = sync(accounts=asked, softphones="none", tenant="north", max_rejects=6)

    assert (result["table"], result["tenant"], result["active"]) == ("cc_agent", "north", 12)
    assert list(result["reject_reasons"].items()) == [
        (f"{INFO}: no_agent", 3),
        (f"{INFO}: not_json", 2),
        ("account_code: bad_code", 1),
    ]


def test_a_run_returns_the_twenty_most_frequent_reasons(
    make_center: MakeCenter, sqlite_database: Database, sqlite_sync: Sync
) -> None:
    center = make_center(24)
    accounts = list(center.accounts())
    center.faults.overrides = {
        account: (200, {"returnCode": str(100 + max(number, 1))})
        for number, account in enumerate(accounts[:22])
    }

    reasons = sqlite_sync(accounts=accounts, softphones="none", max_rejects=1.0)["reject_reasons"]

    assert len(reasons) == 20
    assert next(iter(reasons.items())) == (f"{INFO}: 101", 2)


def test_the_log_names_no_account_and_no_person(center: Simulator, sqlite_sync: Sync, log: Log) -> None:
    accounts = [*center.accounts(), "nobody.at.all", "q" * 65]
    center.faults.overrides = {"agent000003": (200, {"returnCode": "42", "description": "agent000003"})}

    sqlite_sync(accounts=accounts, history_table="cc_agent_history")
    center.remove_agent("agent000005")
    sqlite_sync()

    agents = [center.agent(account) for account in center.accounts()]
    personal = {value for agent in agents for value in (agent.user_name, agent.phone, agent.email)}
    for value in {*accounts, *personal}:
        assert value not in log.text


def test_no_secret_is_in_any_table_or_log_line(
    make_center: MakeCenter,
    database: Database,
    sync: Sync,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    center = make_center(6, echo_secrets=True)
    agents = [center.agent(account) for account in center.accounts()]
    known = {agent.account: agent.password for agent in agents} | {"agent000003": "WrongPass-lilac-gorge"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_PASSWORDS", json.dumps({"conn_type": "generic", "password": json.dumps(known)})
    )
    sync(
        accounts=list(known),
        softphones="login_params",
        passwords_conn_id="passwords",
        history_table="cc_agent_history",
    )
    center.settings.app_secret = "another"
    with pytest.raises(CCAuthError):
        sync()

    secrets = {*center.secrets(), *known.values()}
    secrets |= {value for agent in agents for value in (agent.agent_password, agent.sip_password)}
    written = f"{database.dump()} {log.text}"
    assert not [secret for secret in secrets if secret and secret in written and secret != "another"]
