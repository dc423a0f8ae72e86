"""What an Airflow connection may say, and in which types it may come."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.get_provider_info import CONNECTION_TYPES
from airflow_provider_cc.hooks.agent import CCAgentHook
from airflow_provider_cc.hooks.gateway import CCGatewayHook
from airflow_provider_cc.hooks.isales import CCISalesHook
from airflow_provider_cc.hooks.management import CCManagementHook

HOOKS = [CCManagementHook, CCGatewayHook, CCISalesHook]
CONNECTION = {"conn_type": "cc_management", "host": "cc.example", "login": "key", "password": "word"}


@pytest.fixture
def read(connect):
    """Read a connection with some extras and changes."""

    def read(changes=None, hook=CCManagementHook, **extra):
        connect(hook.default_conn_name, CONNECTION, **(changes or {}), extra=extra)
        return hook().settings

    return read


@pytest.mark.parametrize(
    ("hook", "url"),
    [
        (CCManagementHook, "https://cc.example:443"),
        (CCGatewayHook, "https://cc.example:8043"),
        (CCISalesHook, "https://cc.example:443"),
    ],
)
def test_a_connection_of_four_fields_is_enough_and_a_system_has_its_own_port(read, hook, url):
    settings = read(hook=hook)
    assert settings.base_url == url
    assert (settings.verify, settings.timeout, settings.max_concurrency) == (True, 30.0, 32)
    assert (settings.requests_per_second, settings.share_session) == (None, False)


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"port": 28443}, "https://cc.example:28443"),
        ({"schema": "http", "port": 80}, "http://cc.example:80"),
        ({"schema": "HTTP ", "port": 8080}, "http://cc.example:8080"),
        ({"schema": "HTTPS"}, "https://cc.example:443"),
        ({"host": " cc.example "}, "https://cc.example:443"),
        ({"host": "::1"}, "https://[::1]:443"),
        ({"host": "[::1]"}, "https://[::1]:443"),
    ],
)
def test_an_address_is_made_of_schema_host_and_port(read, changes, url):
    assert read(changes).base_url == url


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/a/b", "https://cc.example:443/a/b"),
        ("/a?back=https://else.example", "https://cc.example:443/a?back=https://else.example"),
        ("https://tokens.example/t", "https://tokens.example/t"),
    ],
)
def test_a_path_belongs_to_the_host_unless_it_names_another(read, path, url):
    assert read().url(path) == url


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("verify", "false", False),
        ("verify", "False", False),
        ("verify", " no ", False),
        ("verify", 0, False),
        ("verify", False, False),
        ("verify", "true", True),
        ("verify", 1, True),
        ("verify", "", True),
        ("verify", None, True),
        ("timeout", "30", 30.0),
        ("timeout", "2.5", 2.5),
        ("timeout", 7, 7.0),
        ("max_concurrency", "16", 16),
        ("max_concurrency", 16, 16),
        ("max_concurrency", "", 32),
        ("requests_per_second", "12.5", 12.5),
        ("requests_per_second", "", None),
        ("share_session", "true", True),
        ("share_session", "off", False),
        ("share_session", True, True),
    ],
)
def test_an_extra_may_be_a_text(read, name, given, value):
    read_as = getattr(read(**{name: given}), name)
    assert (type(read_as), read_as) == (type(value), value)


def test_a_uri_is_as_good_as_json(connect):
    extras = {"verify": "false", "timeout": "30", "max_concurrency": "16", "share_session": "true"}
    connect(
        "cc_management_default",
        f"cc-management://key:{quote('p@ss/wörd', safe='')}@cc.example:28443/https?{urlencode(extras)}",
    )
    settings = CCManagementHook().settings
    assert (settings.login, settings.password) == ("key", "p@ss/wörd")
    assert settings.base_url == "https://cc.example:28443"
    assert (settings.verify, settings.timeout, settings.max_concurrency) == (False, 30.0, 16)
    assert settings.share_session is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verify", 7),
        ("verify", "/no/such/file.pem"),
        ("verify", "ture"),
        ("timeout", "soon"),
        ("timeout", 0),
        ("timeout", "-1"),
        ("timeout", "nan"),
        ("timeout", "inf"),
        ("timeout", []),
        ("max_concurrency", 0),
        ("max_concurrency", "1001"),
        ("max_concurrency", "many"),
        ("max_concurrency", 2.5),
        ("requests_per_second", 0),
        ("requests_per_second", "fast"),
        ("share_session", "maybe"),
        ("server_name", "cc.example/path"),
        ("server_name", "https://cc.example"),
        ("server_name", 7),
        ("client_cert", "/no/such/file.pem"),
        ("client_cert", True),
        ("share_session", 2),
    ],
)
def test_an_extra_that_makes_no_sense_is_named(read, name, value):
    with pytest.raises(CCConfigError, match=rf"'cc_management_default'.*extra {name}( must be|: )"):
        read(**{name: value})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": "https://cc.example"}, "host must be"),
        ({"host": "cc.example/path"}, "host must be"),
        ({"host": "user@cc.example"}, "host must be"),
        ({"host": "cc.example?x"}, "host must be"),
        ({"host": "cc example"}, "host must be"),
        ({"host": "cc.example:8043"}, "host must not include a port: use the port field"),
        ({"host": "192.0.2.1:"}, "host must not include a port: use the port field"),
        ({"host": "[2001:db8::1]:8043"}, "host must not include a port: use the port field"),
        ({"schema": "ftp"}, "schema must be"),
        ({"port": 70000}, "port must be"),
        ({"port": -1}, "port must be"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(read, changes, named):
    with pytest.raises(CCConfigError, match=named):
        read(changes)


def test_everything_that_makes_no_sense_is_named_at_once(read):
    with pytest.raises(CCConfigError) as refusal:
        read({"schema": "ftp", "port": 70000}, timeout="soon", max_concurrency=0, verify="ture")
    for name in ("schema", "port", "timeout", "max_concurrency", "verify"):
        assert name in str(refusal.value)


def test_an_unknown_extra_is_warned_of_by_name_and_not_by_value(read, logged):
    read(verfy="a-secret-value", timeout=5)
    assert logged.times("Unknown extras: verfy. Supported extras: ") == 1
    assert "a-secret-value" not in logged.text()


@pytest.mark.parametrize("hook", HOOKS)
def test_the_password_is_not_shown(read, hook):
    shown = repr(read({"password": "a-secret-value"}, hook=hook, verify=False, token_url="a-secret-value"))
    assert "a-secret-value" not in shown


@pytest.mark.parametrize("hook", [*HOOKS, CCAgentHook])
def test_nothing_is_read_when_a_hook_is_made(hook):
    assert hook("no_such_connection")
    assert hook().cc_conn_id == f"{hook.conn_type}_default"


def test_a_connection_is_read_once(read, connect):
    read({"host": "one.example"})
    hook = CCManagementHook()
    first = hook.settings
    connect("cc_management_default", CONNECTION, host="another.example")
    assert hook.settings is first
    assert hook.settings.host == "one.example"


@pytest.mark.parametrize("hook", [*HOOKS, CCAgentHook])
def test_the_form_of_older_airflows_says_what_the_newer_one_says(hook):
    entry = next(entry for entry in CONNECTION_TYPES if entry["connection-type"] == hook.conn_type)
    behavior = hook.get_ui_field_behaviour()
    assert {name.replace("_", "-"): value for name, value in behavior.items()} == entry["ui-field-behaviour"]
    # Airflow asks no class for what it only inherits.
    assert {"get_ui_field_behaviour", "get_connection_form_widgets"} <= vars(hook).keys()


EVERY_TYPE = pytest.mark.parametrize("entry", CONNECTION_TYPES, ids=lambda entry: entry["connection-type"])


@EVERY_TYPE
def test_airflow_reads_the_labels(entry):
    """Airflow ignores a key that it does not know."""
    if get_base_airflow_version_tuple() < (3, 2, 0):
        pytest.importorskip("flask_appbuilder", reason="Airflow before 3.2 makes its forms of this")
    from airflow.providers_manager import ProvidersManager

    behavior = ProvidersManager().field_behaviours[entry["connection-type"]]
    assert {name.replace("_", "-"): value for name, value in behavior.items()} == entry["ui-field-behaviour"]


@EVERY_TYPE
def test_older_airflows_show_the_form_that_newer_ones_read(entry):
    pytest.importorskip("flask_appbuilder", reason="Airflow before 3.2 makes its forms of this")
    from airflow.providers_manager import ProvidersManager

    manager, prefix = ProvidersManager(), f"extra__{entry['connection-type']}__"
    shown = {
        name.removeprefix(prefix): (widget.field.args[0], widget.field.kwargs["description"])
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith(prefix)
    }
    assert shown == {
        name: (field["label"], field["description"]) for name, field in entry["conn-fields"].items()
    }


# Extras of one type


@pytest.mark.parametrize(("given", "asked"), [("600", "600"), ("", "3600"), (0, "3600")])
def test_the_lifetime_of_a_token_is_asked_for(start, connect, given, asked):
    cc = start(record=True)
    connect(
        "cc_management_default", cc.connections()["cc_management_default"], extra={"token_lifetime": given}
    )
    CCManagementHook().sessions.sign_in()
    assert cc.stats.recorded[0].headers["X-Token-Expire"] == asked


@pytest.mark.parametrize("lifetime", [-1, 3601, "long", 1.5])
def test_a_lifetime_out_of_range_is_a_config_error(cc, reconnect, lifetime):
    reconnect("cc_management_default", extra={"token_lifetime": lifetime})
    with pytest.raises(CCConfigError, match="token_lifetime"):
        CCManagementHook().sessions.sign_in()
    assert cc.stats.requests() == 0


@pytest.mark.parametrize(("name", "value"), [("token_header", "Cookie"), ("token_kind", "both")])
def test_an_unknown_choice_is_a_config_error(cc, reconnect, name, value):
    reconnect("cc_isales_default", extra={name: value})
    with pytest.raises(CCConfigError, match=rf"extra {name} must be \w+ or \w+"):
        CCISalesHook().call("business/tasks")
    assert cc.stats.requests() == 0


# cc_agent


def test_an_agent_has_login_password_and_phone_number(cc):
    agent = cc.agent("agent000000")
    credentials = CCAgentHook().credentials
    assert (credentials.login, credentials.password) == (str(agent.agent_id), agent.agent_password)
    assert credentials.phone_number == agent.softphone_number
    assert agent.agent_password not in repr(credentials)


@pytest.mark.parametrize("login", ["", " "])
def test_an_agent_without_login_is_a_config_error(cc, reconnect, login):
    reconnect("cc_agent_default", login=login)
    with pytest.raises(CCConfigError, match=r"needs login$"):
        _ = CCAgentHook().credentials


@pytest.mark.parametrize(("given", "read_as"), [(88880001, "88880001"), (None, ""), (" 8 ", "8")])
def test_a_phone_number_may_be_a_number_or_missing(cc, reconnect, given, read_as):
    reconnect("cc_agent_default", extra={"phone_number": given})
    assert CCAgentHook().credentials.phone_number == read_as
