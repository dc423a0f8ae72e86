"""Provider info for Airflow. Read at every start of Airflow, so it imports nothing.

From Airflow 3.2 on, the connection forms come from here. In older versions they come from the hooks, which
use the same entries through :class:`CCForm`.
"""

from __future__ import annotations

from typing import Any, ClassVar

_MANAGEMENT, _GATEWAY, _ISALES = "CC-Management", "CC-Gateway", "CC-iSales"

# No field has a default. The form would write it into every connection that it saves, and if the field's name
# contains a word such as "token", Airflow passes the form three asterisks as the default.
_TRANSPORT_FIELDS: dict[str, dict[str, Any]] = {
    "verify": {
        "label": "Verify certificate",
        "description": "true (the default), false, or the path of a CA bundle on the workers.",
        "schema": {"type": ["string", "null"]},
    },
    "server_name": {
        "label": "Server name",
        "description": "The name that the server's certificate is issued to, if different from the host.",
        "schema": {"type": ["string", "null"]},
    },
    "client_cert": {
        "label": "Client certificate",
        "description": "Path on the workers of a PEM file with a certificate and its unencrypted key.",
        "schema": {"type": ["string", "null"]},
    },
    "timeout": {
        "label": "Time-out (s)",
        "description": "Time-out for connecting, and for each reply. 30 by default.",
        "schema": {"type": ["number", "null"], "minimum": 1},
    },
    "max_concurrency": {
        "label": "Concurrent requests",
        "description": "Maximum number of requests that a sync keeps in flight. 32 by default.",
        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
    },
    "requests_per_second": {
        "label": "Requests per second",
        "description": "Maximum request rate of a sync. No limit by default.",
        "schema": {"type": ["number", "null"], "minimum": 0.01},
    },
    "share_session": {
        "label": "Share the session",
        "description": "true shares the session with other tasks, encrypted in an Airflow Variable.",
        "schema": {"type": ["boolean", "null"]},
    },
}

CONNECTION_TYPES: tuple[dict[str, Any], ...] = (
    {
        "connection-type": "cc_management",
        "hook-class-name": "airflow_provider_cc.hooks.management.CCManagementHook",
        "hook-name": "CC-Management",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {
                "host": "Domain",
                "port": "Port (usually 443)",
                "schema": "Scheme",
                "login": "App key",
                "password": "App secret",
            },
            "placeholders": {"host": "cc.example.com", "schema": "https"},
        },
        "conn-fields": {
            "token_lifetime": {
                "label": "Token lifetime (s)",
                "description": "Token lifetime to request, at most 3600. 3600 by default.",
                "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 3600},
            },
            "tenant_space_id": {
                "label": "Tenant space ID",
                "description": "Sent as X-TenantSpaceID. Some multi-tenant contact centers require it.",
                "schema": {"type": ["string", "null"]},
            },
            "token_url": {
                "label": "Token URL",
                "description": "Where to request tokens: a path or an https URL, if not the default.",
                "schema": {"type": ["string", "null"]},
            },
            "page_size": {
                "label": "Page size",
                "description": "Entries per page when a sync reads the directory. 100 by default.",
                "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 10000},
            },
            **_TRANSPORT_FIELDS,
        },
    },
    {
        "connection-type": "cc_gateway",
        "hook-class-name": "airflow_provider_cc.hooks.gateway.CCGatewayHook",
        "hook-name": "CC-Gateway",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {
                "host": "Address",
                "port": "Port (usually 8043)",
                "schema": "Scheme",
                "login": "Administrator ID or VDN account",
            },
            "placeholders": {"host": "192.0.2.10", "schema": "https"},
        },
        "conn-fields": _TRANSPORT_FIELDS,
    },
    {
        "connection-type": "cc_isales",
        "hook-class-name": "airflow_provider_cc.hooks.isales.CCISalesHook",
        "hook-name": "CC-iSales",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {
                "host": "Domain",
                "port": "Port (usually 443)",
                "schema": "Scheme",
                "login": "User",
            },
            "placeholders": {"host": "isales.example.com", "schema": "https"},
        },
        "conn-fields": {
            "token_header": {
                "label": "Token header",
                "description": "Which header carries the session: Authentication (default) or Authorization.",
                "schema": {"type": ["string", "null"], "enum": ["Authentication", "Authorization"]},
            },
            "token_kind": {
                "label": "Token kind",
                "description": "Which token the header carries: token (default) or refreshToken.",
                "schema": {"type": ["string", "null"], "enum": ["token", "refreshToken"]},
            },
            **_TRANSPORT_FIELDS,
        },
    },
    {
        "connection-type": "cc_agent",
        "hook-class-name": "airflow_provider_cc.hooks.agent.CCAgentHook",
        "hook-name": "CC agent",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "schema"],
            "relabeling": {"login": "Sign-in account or agent ID"},
            "placeholders": {"login": "account@example or 5001"},
        },
        "conn-fields": {
            "phone_number": {
                "label": "Softphone number",
                "description": "Softphone number that the agent signs in to the gateway with.",
                "schema": {"type": ["string", "null"]},
            },
        },
    },
)


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as defined by Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-cc",
        "name": "Cloud contact center (CC)",
        "description": "Agents, softphone numbers and sessions of cloud contact centers (CC).",
        "integrations": [
            {"integration-name": _MANAGEMENT, "tags": ["service"]},
            {"integration-name": _GATEWAY, "tags": ["service"]},
            {"integration-name": _ISALES, "tags": ["service"]},
        ],
        "hooks": [
            {
                "integration-name": _MANAGEMENT,
                "python-modules": ["airflow_provider_cc.hooks.management"],
            },
            {
                "integration-name": _GATEWAY,
                "python-modules": ["airflow_provider_cc.hooks.gateway", "airflow_provider_cc.hooks.agent"],
            },
            {"integration-name": _ISALES, "python-modules": ["airflow_provider_cc.hooks.isales"]},
        ],
        "operators": [
            {"integration-name": _MANAGEMENT, "python-modules": ["airflow_provider_cc.operators.management"]},
            {"integration-name": _GATEWAY, "python-modules": ["airflow_provider_cc.operators.gateway"]},
            {"integration-name": _ISALES, "python-modules": ["airflow_provider_cc.operators.isales"]},
        ],
        "sensors": [
            {
                "integration-name": _MANAGEMENT,
                "python-modules": [
                    "airflow_provider_cc.sensors.management",
                    "airflow_provider_cc.sensors.sync",
                ],
            },
        ],
        "triggers": [
            {"integration-name": _MANAGEMENT, "python-modules": ["airflow_provider_cc.triggers.management"]},
        ],
        "transfers": [
            {
                "source-integration-name": _MANAGEMENT,
                "target-integration-name": "Common SQL",
                "python-module": "airflow_provider_cc.transfers.agents_to_sql",
            },
        ],
        "connection-types": list(CONNECTION_TYPES),
        "cli": ["airflow_provider_cc.doctor.command.airflow_commands"],
    }


class CCForm:
    """A connection type's form for Airflow before 3.2; the subclass names the type."""

    conn_type: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Copy the methods to the subclass: Airflow ignores inherited ones."""
        super().__init_subclass__(**arguments)
        for name in ("get_ui_field_behaviour", "get_connection_form_widgets"):
            setattr(cls, name, next(vars(base)[name] for base in cls.__mro__ if name in vars(base)))

    @classmethod
    def _entry(cls) -> dict[str, Any]:
        return next(entry for entry in CONNECTION_TYPES if entry["connection-type"] == cls.conn_type)

    @classmethod
    def _label(cls, field: str) -> str:
        """Return the form's label of a field."""
        label: str = cls._entry()["ui-field-behaviour"]["relabeling"].get(field, field)
        return label

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the form shows, and their labels."""
        return {key.replace("-", "_"): value for key, value in cls._entry()["ui-field-behaviour"].items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's additional fields."""
        # Imported here: they are installed only where forms are shown.
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in cls._entry()["conn-fields"].items()
        }
