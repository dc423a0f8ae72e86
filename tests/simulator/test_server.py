"""Start and stop, TLS, connections, the control interface and the pytest plugin."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import requests

from airflow_provider_cc.simulator import Settings, Simulator

pytest_plugins = ["airflow_provider_cc.simulator.fixtures"]

ONE = {"accountCode": "agent000001"}


def test_the_plugin_gives_a_running_center(cc_simulator):
    reply = requests.get(cc_simulator.url, verify=cc_simulator.ca_file, timeout=5)
    assert reply.status_code == 404


class TestOwnSettings:
    @pytest.fixture
    def cc_settings(self):
        return Settings(agents=3, tls=False)

    def test_the_plugin_takes_settings(self, cc_simulator):
        assert len(list(cc_simulator.accounts())) == 3
        assert cc_simulator.url.startswith("http://127.0.0.1:")


def test_the_certificate_is_good_for_both_names_and_bad_for_strangers(client):
    context = ssl.create_default_context(cafile=client.cc.ca_file)
    # What Python 3.13 does by default.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection((client.cc.host, client.cc.port), 5) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.getpeercert()["subject"]
    with (
        socket.create_connection((client.cc.host, client.cc.port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="elsewhere.example")
    with pytest.raises(requests.exceptions.SSLError):
        client.session.get(client.cc.url, verify=True, timeout=5)


@pytest.mark.parametrize("tls", [True, False])
def test_no_connection_is_left_open(tls):
    """Not even one of a client that keeps it for later and, until then, does not listen."""
    gc.collect()  # what earlier tests left is not meant
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with requests.Session() as session, Simulator(Settings(agents=1, tls=tls)) as cc:
            session.get(cc.url, verify=cc.ca_file or True, timeout=5)
        gc.collect()

    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


def test_temporary_certificates_are_private_and_removed():
    with Simulator(Settings(agents=1)) as cc:
        directory = Path(cc.ca_file).parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
        assert len(list(directory.iterdir())) == 3
    assert not directory.exists()
    assert cc.ca_file is None


def test_certificates_in_a_directory_are_kept_and_used_again(tmp_path):
    directory = tmp_path / "certificates"
    with Simulator(Settings(agents=1, cert_dir=directory)) as cc:
        first = Path(cc.ca_file).read_bytes()
        assert Path(cc.ca_file).parent == directory
    with Simulator(Settings(agents=1, cert_dir=str(directory))) as cc:
        assert Path(cc.ca_file).read_bytes() == first
        assert requests.get(cc.url, verify=cc.ca_file, timeout=5).status_code == 404


def test_without_tls_there_is_no_ca(start):
    client = start(Settings(agents=1, tls=False))
    assert client.cc.ca_file is None
    assert client.cc.url.startswith("http://")
    assert client.ask_token().status_code == 200
    assert "verify" not in client.cc.connections()["cc_management_default"]["extra"]


def test_stopping_closes_everything_and_starting_again_works():
    cc = Simulator(Settings(agents=1, tls=False))
    with pytest.raises(RuntimeError, match="not running"):
        cc.url  # noqa: B018
    before = threading.active_count()
    cc.start()
    port = cc.port
    with pytest.raises(RuntimeError, match="already running"):
        cc.start()
    with socket.create_connection((cc.host, port), 5) as idle:
        cc.stop()
        assert idle.recv(1) == b""
    cc.stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    cc.add_agent("kept")
    with cc:
        assert requests.get(cc.url, timeout=5).status_code == 404
        assert cc.agent("kept")


def test_a_waiting_poll_does_not_delay_the_stop(start):
    client = start(Settings(agents=1))
    agent = client.cc.agent("agent000000")
    guid = client.agent_guid(agent.account)
    path = f"agentevent/{agent.agent_id}"
    guid = client.agent_call("GET", path, guid).headers["Set-GUID"].removeprefix("JSESSIONID=")
    failed = threading.Event()

    def poll():
        try:
            client.agent_call("GET", path, guid)
        except requests.ConnectionError:
            failed.set()

    thread = threading.Thread(target=poll)
    thread.start()
    while client.cc.stats.concurrency == 0:
        time.sleep(0.01)
    client.cc.stop()
    thread.join(timeout=3)
    assert failed.is_set()


def test_a_taken_port_is_an_error(client):
    with pytest.raises(OSError, match="in use"):
        Simulator(Settings(agents=1, port=client.cc.port)).start()


def test_connections_are_what_airflow_reads(client):
    cc = client.cc
    connections = cc.connections()
    assert set(connections) == {
        "cc_management_default",
        "cc_gateway_default",
        "cc_isales_default",
        "cc_agent_default",
    }
    management = connections["cc_management_default"]
    assert management == {
        "conn_type": "cc_management",
        "host": "127.0.0.1",
        "port": cc.port,
        "schema": "https",
        "login": cc.settings.app_key,
        "password": cc.settings.app_secret,
        "extra": {"verify": cc.ca_file},
    }
    agent = cc.agent("agent000000")
    assert connections["cc_agent_default"]["login"] == str(agent.agent_id)
    assert connections["cc_agent_default"]["extra"] == {"phone_number": agent.softphone_number}
    environment = cc.environment()
    assert json.loads(environment["AIRFLOW_CONN_CC_MANAGEMENT_DEFAULT"]) == management
    assert len(environment) == 4


def test_the_connection_of_an_agent_signs_in(client):
    connection = client.cc.connections()["cc_agent_default"]
    body = {"password": connection["password"], "phonenum": connection["extra"]["phone_number"]}
    reply = client.send(
        "PUT",
        f"/agentgateway/resource/onlineagent/{connection['login']}",
        json=body,
        headers={"Content-Type": "application/json; charset=UTF-8"},
    )
    assert reply.json()["retcode"] == "0"


def test_settings_show_in_the_connections(start):
    client = start(Settings(agents=0, tenant_space_id="t", isales_header="Authorization"))
    connections = client.cc.connections()
    assert "cc_agent_default" not in connections
    assert connections["cc_management_default"]["extra"]["tenant_space_id"] == "t"
    assert connections["cc_isales_default"]["extra"]["token_header"] == "Authorization"


def control(client, method, path, body=None):
    return client.send(method, f"/_simulator/{path}", json=body)


def test_control_shows_and_resets_the_statistics(client):
    client.cc.settings.record = True
    client.info(ONE)
    stats = control(client, "GET", "stats").json()
    assert stats["requests"] == {"tokenByAkSk": 1, "queryAgentInfoByAccount": 1}
    assert stats["statuses"] == {"200": 2}
    assert stats["sign_ins"] == {"management": 1}
    assert stats["recorded"][1]["json"] == ONE
    control(client, "POST", "reset")
    assert control(client, "GET", "stats").json()["requests"] == {}


def test_control_changes_faults(client):
    shown = control(client, "POST", "faults", {"errors": {"502": 1.0}, "only": ["tokenByAkSk"]}).json()
    assert shown["errors"] == {"502": 1.0}
    assert client.ask_token().status_code == 502
    # Only what is named changes.
    control(client, "POST", "faults", {"latency": 0.001})
    assert client.ask_token().status_code == 502
    control(client, "POST", "faults", {"errors": {}, "overrides": {"agent000001": [418, {"tea": True}]}})
    assert client.info(ONE).status_code == 418
    client.cc.faults.refuse_sign_ins = {"isales", "agent"}
    assert control(client, "GET", "faults").json()["refuse_sign_ins"] == ["agent", "isales"]


def test_control_changes_agents_and_ends_sessions(client):
    headers = client.bearer()
    changes = {
        "add": [{"account": "new", "agent_id": 77}],
        "change": [{"account": "agent000002", "agent_status": "9"}],
        "remove": ["agent000003"],
        "lock": ["agent000004"],
    }
    assert control(client, "POST", "agents", changes).status_code == 200
    assert client.info({"accountCode": "new"}, headers).json()["data"]["workNo"] == 77
    assert client.info({"accountCode": "agent000002"}, headers).json()["data"]["agentStatus"] == "9"
    assert client.info({"accountCode": "agent000003"}, headers).json()["data"]["workNo"] == ""
    assert client.cc.agent("agent000004").locked
    shown = control(client, "GET", "agents?account=new").json()
    assert shown == client.cc.agent("new")._asdict()
    control(client, "POST", "expire")
    assert client.info(ONE, headers).status_code == 401


def test_control_refuses_what_it_does_not_know(client):
    assert control(client, "GET", "nothing").status_code == 404
    assert control(client, "GET", "agents?account=nobody").status_code == 404
    for path, body in (
        ("faults", {"latncy": 1}),
        ("faults", []),
        ("faults", {"errors": {"x": 1}}),
        ("agents", {"remove": ["nobody"]}),
        ("agents", {"drop": []}),
        ("agents", {"add": [{"account": "a", "color": 1}]}),
    ):
        assert control(client, "POST", path, body).status_code == 400


def test_control_is_neither_counted_nor_disturbed(client):
    client.cc.faults.errors = {500: 1.0}
    assert control(client, "GET", "stats").status_code == 200
    assert client.cc.stats.requests() == 0


def test_it_runs_without_airflow():
    code = (
        "import sys; sys.modules['airflow'] = None; import airflow_provider_cc.simulator.__main__; "
        "assert not [m for m in sys.modules if m.startswith('airflow_provider_cc.') "
        "and not m.startswith('airflow_provider_cc.simulator')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
