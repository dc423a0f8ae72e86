"""Hooks do not wait for each other."""

from __future__ import annotations

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_cc.hooks.management import CCManagementHook


def test_ten_hooks_whose_connections_take_long_are_ready_together(cc, monkeypatch):
    read = CCManagementHook.get_connection

    def read_slowly(conn_id):
        time.sleep(0.3)
        return read(conn_id)

    monkeypatch.setattr(CCManagementHook, "get_connection", staticmethod(read_slowly))
    hooks = [CCManagementHook() for _ in range(10)]
    begun = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        assert len(list(pool.map(lambda hook: hook.settings, hooks))) == 10
    assert time.monotonic() - begun < 2.5  # one after the other they would take 3 s


def test_a_copied_or_pickled_hook_reads_its_connection_again(cc):
    hook = CCManagementHook()
    hook.query_agent_info("agent000000")
    for other in (copy.copy(hook), copy.deepcopy(hook), pickle.loads(pickle.dumps(hook))):  # noqa: S301 - our own
        assert other.cc_conn_id == hook.cc_conn_id
        assert vars(other)["_settings"] is None
        assert other.query_agent_info("agent000000").agent_id == 10001
