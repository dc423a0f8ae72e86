"""From `pip install` to a filled table with nothing but the quick start's page and a browser."""

from __future__ import annotations

import re

import duckdb

from scripts.web_interface import WebInterface
from tests.browser.quick_start import NewUser, code

DAG = "cc_agents_from_directory"


def test_a_new_user_fills_a_table(new_user: NewUser, web: WebInterface) -> None:
    for fields, extras in new_user.entries():
        form = web.new_connection(fields.pop("Connection Type"))
        form.fill_in(fields, extras)
        form.save()
    said = web.test_connection("cc_management_default")
    run_id = web.switch_on(DAG)
    state = web.watch(DAG, run_id)
    log = web.log(DAG, run_id, "sync_agents")
    returned = web.returned(DAG, run_id, "sync_agents")
    tables = web.contact_center_sync().get_by_role("table").inner_text()
    runs = web.contact_center_sync_of(DAG, "sync_agents").get_by_role("table", name="Runs").inner_text()

    signed_in, counts = code("text")
    port = str(new_user.connections["cc_management_default"]["port"])
    assert signed_in.strip().replace("8443", port) in said
    assert state == "Success"
    assert counts.partition(", …")[0] in log
    assert '"synced": 1000' in returned
    for page in (tables, runs):
        assert re.findall("success|1,000", page)[:2] == ["success", "1,000"]
    with duckdb.connect(str(new_user.warehouse), read_only=True) as warehouse:
        assert len(warehouse.sql(code("sql")[0]).fetchall()) == 5
        assert warehouse.sql("SELECT count(*) FROM cc_agent WHERE is_active").fetchall() == [(1000,)]
