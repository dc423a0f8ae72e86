"""Airflow at DEBUG, connections from its own database, and no secret in anything that is left of its runs.

In short: signing in and syncing, in success and in refusal. All DAGs in all failures: `test_airflow`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hard.canaries.airflow_run import AirflowRun, Watch
from tests.hard.canaries.asking import connections
from tests.hard.canaries.canaries import Search
from tests.hard.canaries.center import FAULTS, canary_center


@pytest.mark.timeout(900)
def test_nothing_is_left_of_a_success_and_of_a_refusal(tmp_path: Path, migrated_database: Path) -> None:
    with canary_center(tmp_path) as (center, canaries):
        airflow = AirflowRun(
            tmp_path / "run",
            migrated_database,
            {
                **connections(center, share_session=True),
                "warehouse": {"conn_type": "sqlite", "host": str(tmp_path / "warehouse.sqlite")},
            },
            f"sqlite:///{tmp_path}/warehouse.sqlite",
        )
        search = Search(canaries, airflow.key)
        with Watch(search, airflow.temporary) as watch:
            assert airflow.home.run_dag("cc_agents_from_directory").state == "success"
            center.faults.refuse_sign_ins = FAULTS["refused"].refuse_sign_ins
            assert airflow.home.run_dag("cc_isales_session").state == "failed"

        assert airflow.found(search, with_answers=False) == {}
        assert watch.found == {}
        assert watch.looks["command lines"], watch.looks
        assert watch.looks["environments"], watch.looks
        shared = airflow._rows("SELECT val FROM variable WHERE key LIKE 'cc_token__%'")
        assert shared, "the session was not shared, so nothing was shown of it"
