"""Arguments that the manual does not allow never become a request."""

from __future__ import annotations

import pytest

from airflow_provider_cc.api import directory, gateway, isales, management

info, params, page = (
    management.query_agent_info,
    management.query_agent_login_params,
    directory.query_page,
)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (info, ("",)),
        (info, ("  ",)),
        (info, ("a" * 65,)),
        (info, (None,)),
        (info, (7094,)),
        (info, ("a\ud800",)),
        (info, ("a", "user", None)),
        (info, ("a", None, "password")),
        (info, ("a", "u" * 65, "p")),
        (info, ("a", "u", "p" * 65)),
        (info, ("a", "u", "")),
        (params, ("", "p")),
        (params, ("a" * 101, "p")),
        (params, ("a", "")),
        (params, ("a", None)),
        (params, ("a", "p" * 101)),
        (page, (0, 0)),
        (page, (0, -1)),
        (page, (-1, 100)),
        (directory.query_account, ("",)),
        (directory.query_account, ("a" * 101,)),
        (gateway.config_login, (0, "p")),
        (gateway.config_login, (-1, "p")),
        (gateway.config_login, ("admin", "p")),
        (gateway.config_login, ("", "p")),
        (gateway.config_login, (True, "p")),
        (gateway.config_login, (101.5, "p")),
        (gateway.config_login, ("１０１", "p")),
        (gateway.config_login, (101, "")),
        (gateway.query_login_info, (100,)),
        (gateway.query_login_info, (1_000_000,)),
        (gateway.query_login_info, ("101/../102",)),
        (gateway.query_login_info, (None,)),
        (gateway.query_login_info, (True,)),
        (gateway.agent_sign_in, (100, "p", "8")),
        (gateway.agent_sign_in, (1_000_000, "p", "8")),
        (gateway.agent_sign_in, (101, " ", "8")),
        (gateway.agent_sign_in, (101, "p", "")),
        (gateway.agent_sign_in, (101, "p", None)),
        (isales.login, ("", "p")),
        (isales.login, ("u", "")),
    ],
)
def test_is_refused(make, arguments):
    with pytest.raises(ValueError, match=r"must|cannot"):
        make(*arguments)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (info, ("a" * 64,)),
        (info, ("名前",)),
        (info, ("a", "u" * 64, "p" * 64)),
        (params, ("a" * 100, "p" * 100)),
        (page, (0, 1)),
        (gateway.config_login, (1, "p")),
        (gateway.config_login, (1_100_000, "p")),
        (gateway.query_login_info, (101,)),
        (gateway.query_login_info, ("999999",)),
        (gateway.agent_sign_in, (999_999, "p", "8")),
    ],
)
def test_the_last_allowed_value_is_allowed(make, arguments):
    assert make(*arguments).endpoint.name


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (params, ("a", "hunter2" * 20)),
        (info, ("a", "u", "hunter2" * 20)),
        (gateway.agent_sign_in, (100, "hunter2", "8")),
        (gateway.config_login, (0, "hunter2")),
        (gateway.agent_sign_in, (101, "hunter2\ud800", "8")),
    ],
)
def test_a_refused_password_is_not_shown(make, arguments):
    with pytest.raises(ValueError, match=r"must|cannot") as refusal:
        make(*arguments)
    assert "hunter2" not in str(refusal.value)
