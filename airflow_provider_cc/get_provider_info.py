"""What this provider tells Airflow about itself; read at every start of Airflow, so it imports nothing.

From Airflow 3.2 on the connection forms come from here. Older versions ask the hooks, which answer from the
same entries by :class:`CCForm`.
"""

from __future__ import annotations

from typing import Any, ClassVar

_MANAGEMENT, _GATEWAY, _ISALES = "CC-Management", "CC-Gateway", "CC-iSales"

# No field has a default. The form would write it into every connection that it saves, and where the field's
# name has a word such as "token" in it, Airflow hands the form three asterisks for the default.
_TRANSPORT_FIELDS: dict[str, dict[str, Any]] = {
    "verify": {
        "label": "Verify certificate",
        "description": "true (the default), false, or the path of a CA bundle on the workers.",
        "schema": {"type": ["string", "null"]},
    },
    "server_name": {
        "label": "Server name",
        "description": "The name that the server's certificate is issued to, if it is not the host above.",
        "schema": {"type": ["string", "null"]},
    },
    "client_cert": {
        "label": "Client certificate",
        "description": "The path, on the workers, of a PEM file with a certificate and its private key.",
        "schema": {"type": ["string", "null"]},
    },
    "timeout": {
        "label": "Time-out (s)",
        "description": "How long to wait for a connection, and for each reply. 30 unless set.",
        "schema": {"type": ["number", "null"], "minimum": 1},
    },
    "max_concurrency": {
        "label": "Concurrent requests",
        "description": "How many requests a bulk query keeps in flight. 32 unless set.",
        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
    },
    "requests_per_second": {
        "label": "Requests per second",
        "description": "A ceiling for bulk queries. None unless set.",
        "schema": {"type": ["number", "null"], "minimum": 0.01},
    },
    "share_session": {
        "label": "Share the session",
        "description": "true lets other tasks and workers use the session, encrypted in an Airflow Variable.",
        "schema": {"type": ["boolean", "null"]},
    },
}

CONNECTION_TYPES: tuple[dict[str, Any], ...] = (
    {
        "connection-type": "cc_management",
        "hook-class-name": "airflow_provider_cc.hooks.management.CCManagementHook",
        "hook-name": "CC-Management",
        "ui-field-behavior": {
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
                "description": "The lifetime to ask for, 3600 at most.",
                "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 3600},
            },
            "tenant_space_id": {
                "label": "Tenant space ID",
                "description": "Sent as X-TenantSpaceID; only contact centers shared by tenants ask for it.",
                "schema": {"type": ["string", "null"]},
            },
            "token_url": {
                "label": "Token URL",
                "description": "Where tokens are handed out, if not at the domain above.",
                "schema": {"type": ["string", "null"]},
            },
            "page_size": {
                "label": "Page size",
                "description": "How many lines of the directory a sync asks for at a time. 100 unless set.",
                "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 10000},
            },
            **_TRANSPORT_FIELDS,
        },
    },
    {
        "connection-type": "cc_gateway",
        "hook-class-name": "airflow_provider_cc.hooks.gateway.CCGatewayHook",
        "hook-name": "CC-Gateway",
        "ui-field-behavior": {
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
        "ui-field-behavior": {
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
                "description": "What carries the session: Authentication (unless set) or Authorization.",
                "schema": {"type": ["string", "null"], "enum": ["Authentication", "Authorization"]},
            },
            "token_kind": {
                "label": "Token kind",
                "description": "What that header carries: token (unless set) or refreshToken.",
                "schema": {"type": ["string", "null"], "enum": ["token", "refreshToken"]},
            },
            **_TRANSPORT_FIELDS,
        },
    },
    {
        "connection-type": "cc_agent",
        "hook-class-name": "airflow_provider_cc.hooks.agent.CCAgentHook",
        "hook-name": "CC agent",
        "ui-field-behavior": {
            "hidden-fields": ["host", "port", "schema"],
            "relabeling": {"login": "Sign-in account or agent ID"},
            "placeholders": {"login": "account@example or 5001"},
        },
        "conn-fields": {
            "phone_number": {
                "label": "Softphone number",
                "description": "The number the agent signs in with on the gateway.",
                "schema": {"type": ["string", "null"]},
            },
        },
    },
)


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata in the shape of Airflow's ``provider_info.schema.json``."""
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
        for name in ("get_ui_field_behavior", "get_connection_form_widgets"):
            setattr(cls, name, next(vars(base)[name] for base in cls.__mro__ if name in vars(base)))

    @classmethod
    def _entry(cls) -> dict[str, Any]:
        return next(entry for entry in CONNECTION_TYPES if entry["connection-type"] == cls.conn_type)

    @classmethod
    def _label(cls, field: str) -> str:
        """Return the form's label of a field."""
        label: str = cls._entry()["ui-field-behavior"]["relabeling"].get(field, field)
        return label

    @classmethod
    def get_ui_field_behavior(cls) -> dict[str, Any]:
        """Return which standard fields the form shows, and their labels."""
        return {key.replace("-", "_"): value for key, value in cls._entry()["ui-field-behavior"].items()}

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
