"""The four connection forms: what they show, what they save, and what *Test* says."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from airflow_provider_cc.get_provider_info import CONNECTION_TYPES
from scripts.web_interface import ConnectionForm, WebInterface
from tests.browser.quick_start import NewUser

TYPES = {entry["connection-type"]: entry for entry in CONNECTION_TYPES}
SYSTEMS = [conn_type for conn_type in TYPES if conn_type != "cc_agent"]
STANDARD = ("host", "login", "password", "port", "schema")
# Of another type than the form's fields would make of a text, wherever there is one.
EXTRAS: dict[str, Any] = {
    "verify": "false",
    "timeout": 20,
    "max_concurrency": 16,
    "requests_per_second": 12.5,
    "share_session": True,
    "token_lifetime": 600,
    "tenant_space_id": "north",
    "page_size": 50,
    "server_name": "cc.internal",
    "client_cert": "/etc/ssl/client.pem",
    "token_url": "/elsewhere/token",
    "token_header": "Authorization",
    "token_kind": "refreshToken",
    "phone_number": "0070000001",
}

every_type = pytest.mark.parametrize("entry", TYPES.values(), ids=TYPES)
every_system = pytest.mark.parametrize("conn_type", SYSTEMS)


def _label(entry: dict[str, Any], field: str) -> str:
    label: str = entry["ui-field-behaviour"]["relabeling"].get(field, field.title())
    return label


def _fill_in(
    form: ConnectionForm, entry: dict[str, Any], fields: dict[str, Any], extra: dict[str, Any]
) -> None:
    form.fill_in(
        {"Connection ID": fields["conn_id"]}
        | {_label(entry, name): fields[name] for name in STANDARD if name in fields},
        {entry["conn-fields"][name]["label"]: value for name, value in extra.items()},
    )


@every_type
def test_a_form_shows_what_the_provider_says(entry: dict[str, Any], web: WebInterface) -> None:
    behavior = entry["ui-field-behaviour"]

    form = web.new_connection(entry["hook-name"])

    form.open("Standard Fields")
    for name in STANDARD:
        if name in behavior["hidden-fields"]:
            expect(form.field(_label(entry, name))).to_have_count(0)
        else:
            expect(form.control(_label(entry, name))).to_have_value("")
    for name, placeholder in behavior["placeholders"].items():
        expect(form.control(_label(entry, name))).to_have_attribute("placeholder", placeholder)
    expect(form.control(_label(entry, "password"))).to_have_attribute("type", "password")
    form.open("Extra Fields")
    for field in entry["conn-fields"].values():
        expect(form.field(field["label"])).to_contain_text(field["description"])
        for choice in field["schema"].get("enum", []):
            form.fill(field["label"], choice)


@every_type
def test_what_is_saved_stays_when_it_is_saved_again(
    entry: dict[str, Any], new_user: NewUser, web: WebInterface
) -> None:
    conn_id = f"full_{entry['connection-type']}"
    fields = {
        "conn_id": conn_id,
        "host": "cc.example.com",
        "login": "a-login",
        "password": "a-p$ss/wörd",
        "port": 28443,
        "schema": "https",
    }
    fields = {
        name: value
        for name, value in fields.items()
        if name not in entry["ui-field-behaviour"]["hidden-fields"]
    }
    extra = {name: EXTRAS[name] for name in entry["conn-fields"]}

    form = web.new_connection(entry["hook-name"])
    _fill_in(form, entry, fields, extra)
    form.save()
    saved = new_user.stored(conn_id)
    again = web.edit_connection(conn_id)
    expect(again.control(_label(entry, "password"))).to_have_value("***")
    expect(again.control(_label(entry, "password"))).to_have_attribute("type", "password")
    again.fill("Description", "looked at")
    again.save()

    assert {name: saved[name] for name in fields} == fields
    assert saved["extra"] == extra
    assert new_user.stored(conn_id) == saved | {"description": "looked at"}


@every_system
def test_four_fields_are_enough_to_sign_in(conn_type: str, new_user: NewUser, web: WebInterface) -> None:
    printed = new_user.connections[f"{conn_type}_default"]
    form = web.new_connection(TYPES[conn_type]["hook-name"])
    _fill_in(
        form,
        TYPES[conn_type],
        {"conn_id": f"right_{conn_type}", **printed},
        {"verify": printed["extra"]["verify"]},
    )
    form.save()

    said = web.test_connection(f"right_{conn_type}")

    name = TYPES[conn_type]["hook-name"]
    assert said.endswith(f"Signed in to {name} at https://127.0.0.1:{printed['port']}.")


@every_system
def test_a_wrong_password_is_told_in_the_hooks_words_and_not_sent_again(
    conn_type: str, new_user: NewUser, web: WebInterface
) -> None:
    printed = new_user.connections[f"{conn_type}_default"] | {"password": "a-wrong-password"}
    form = web.new_connection(TYPES[conn_type]["hook-name"])
    _fill_in(
        form,
        TYPES[conn_type],
        {"conn_id": f"wrong_{conn_type}", **printed},
        {"verify": printed["extra"]["verify"]},
    )
    form.save()

    said = web.test_connection(f"wrong_{conn_type}")

    heading, message = said.split("\n", 1)
    assert heading == "Test Connection Failed"
    assert message.startswith(("tokenByAkSk: ", "config/login: ", "auth/login: "))
    assert "blocked" not in message
    assert "a-wrong-password" not in web.page.content()

    said = web.test_connection(f"wrong_{conn_type}")

    assert "blocked: not sent: rejected at" in said
    assert "airflow variables delete cc_blocked__" in said
    assert "a-wrong-password" not in web.page.content()
