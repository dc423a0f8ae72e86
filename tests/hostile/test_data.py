"""Codes, names and numbers stay data, whatever they look like: in tables, in logs and on a page."""

from __future__ import annotations

import html
import logging

import pytest

from airflow_provider_cc.hooks.management import CCManagementHook
from airflow_provider_cc.operators.management import CCQueryAgentInfoOperator
from airflow_provider_cc.sync.sources import AccountList

FORGED = "[2026-01-01T00:00:00.000+0000] {taskinstance.py:1} INFO - Marking task as SUCCESS"
#: What a code may hold that is no code.
ODD = {
    "SQL": "'); DROP TABLE cc_agent; --",
    "SQL comment": 'x"/* ; */ --',
    "Jinja": "{{ conn.warehouse.password }}",
    "Jinja block": "{% for x in y %}",
    "format": "%s %(password)s {0} {}",
    "line": f"x\n{FORGED}"[:64],
    "return": f"x\r{FORGED}"[:64],
    "next line": "x\x85y\u2028z",
    "ANSI": "\x1b[2J\x1b[31mred",
    "override": "gnp\u202etxt.exe",
    "zero width": "ad\u200bmin\ufeff",
    "HTML": "<script>alert(1)</script>",
    "attribute": "\"' onload='x",
    "path": "../../etc/passwd",
    "formula": "=cmd|'/c calc'!A1",
}
#: Characters that move the cursor, forge a line or hide what is there.
UNSAFE = set("\r\x0b\x0c\x1b\x85\u2028\u2029\u202e\u200b\ufeff\x00")


@pytest.fixture
def odd_center(make_center):
    center = make_center(0)
    for number, account in enumerate(ODD.values()):
        center.add_agent(account, agent_id=500 + number, agent_type=4, agent_status="0", softphone_number="8")
    return center


def test_odd_codes_are_rows_like_others(odd_center, database, sync):
    counts = sync(accounts=list(ODD.values()), softphones="none", history_table="cc_agent_history")
    assert counts["synced"] == len(ODD)
    again = sync(accounts=list(ODD.values()), softphones="none", history_table="cc_agent_history")
    assert (again["unchanged"], again["changed"]) == (len(ODD), 0)
    rows = database.query("SELECT account, agent_id FROM cc_agent ORDER BY agent_id")
    assert [account for account, _ in rows] == list(ODD.values())
    assert [number for _, number in rows] == list(range(500, 500 + len(ODD)))


@pytest.mark.parametrize("name", ["agent_status", "softphone_number"])
@pytest.mark.parametrize("value", [value for value in ODD.values() if not value.isprintable()])
def test_an_unprintable_value_of_a_reply_is_rejected_and_not_shown(
    make_center, sqlite_database, sqlite_sync, log, name, value
):
    center = make_center(3)
    center.change_agent("agent000001", **{name: value})
    counts = sqlite_sync(accounts=list(center.accounts()))
    assert (counts["synced"], counts["rejected"]) == (2, 1)
    ((message,),) = sqlite_database.query("SELECT message FROM cc_agent_reject")
    assert message.isprintable()
    assert value not in f"{log.text} {message}"


def test_no_code_forges_or_hides_a_line_of_a_log(odd_center, sqlite_sync, log):
    accounts = [*ODD.values(), *(f" {value}" for value in ODD.values())]
    sqlite_sync(accounts=accounts, max_rejects=0.9, softphones="none", dry_run=True)
    sqlite_sync(accounts=accounts, max_rejects=0.9, softphones="none")
    messages = log.messages
    assert sum(message.startswith("would add") for message in messages) == len(ODD)
    assert sum(message.startswith("would reject") for message in messages) == len(ODD)
    for message in messages:
        assert message.isprintable(), repr(message)
    assert not [line for line in log.text.splitlines() if line.startswith(FORGED[:20])]
    assert not UNSAFE & set("".join(messages))


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_what_an_exception_says_of_a_code_fits_one_line(odd_center, caplog, value):
    caplog.set_level(logging.DEBUG)
    odd_center.remove_agent(value)
    odd_center.faults.overrides = {value: (200, {"returnCode": "1", "description": f"no {value}"})}
    with pytest.raises(Exception, match="queryAgentInfoByAccount: 1: no") as failure:
        CCManagementHook().query_agent_info(value)
    assert str(failure.value).isprintable()


def test_operators_return_codes_as_they_are(odd_center):
    rows = CCQueryAgentInfoOperator(task_id="ask", account_codes=list(ODD.values())).execute({})
    assert [row["account"] for row in rows] == list(ODD.values())


def test_rendered_fields_show_a_number_and_no_code():
    shown = str(AccountList(list(ODD.values())))
    assert shown == f"({len(ODD)} accounts)" == html.escape(shown)
