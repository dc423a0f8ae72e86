"""The connection forms of Airflow before 3.2, made from the entries that newer versions read themselves."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from airflow_provider_cc.get_provider_info import CONNECTION_TYPES


class CCForm:
    """A connection type; the subclass names it."""

    conn_type: ClassVar[str]
    default_conn_name: ClassVar[str]
    hook_name: ClassVar[str]

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Give the subclass the methods as its own: Airflow asks no class for what it only inherits."""
        super().__init_subclass__(**arguments)
        for name in ("get_ui_field_behaviour", "get_connection_form_widgets"):
            setattr(cls, name, inspect.getattr_static(cls, name))

    @classmethod
    def _entry(cls) -> dict[str, Any]:
        return next(entry for entry in CONNECTION_TYPES if entry["connection-type"] == cls.conn_type)

    @classmethod
    def _label(cls, field: str) -> str:
        """Return what the form calls a field."""
        label: str = cls._entry()["ui-field-behaviour"]["relabeling"].get(field, field)
        return label

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the form shows, and under which labels."""
        return {key.replace("-", "_"): value for key, value in cls._entry()["ui-field-behaviour"].items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's further fields."""
        # Imported here: only the process that shows forms has them.
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in cls._entry()["conn-fields"].items()
        }
