"""How the site's reference reads docstrings, as an extension of Griffe: without importing anything."""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, Class, Extension, Function, Object, Parameter, ParameterKind, Parameters

#: A role of Sphinx, such as :class:`Name`; editors know it, Markdown does not.
_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]+\.)?(\w+)`")


class Docstrings(Extension):
    """Shows roles as code, and a ``msgspec.Struct`` with its fields as parameters, like a dataclass."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Turn roles into code."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)

    def on_class(self, *, cls: Class, **kwargs: Any) -> None:
        """Give a structure the constructor that msgspec makes for it."""
        if "__init__" in cls.members or "msgspec.Struct" not in [str(base) for base in cls.bases]:
            return
        fields = [
            Parameter(
                field.name,
                annotation=field.annotation,
                kind=ParameterKind.positional_or_keyword,
                default=field.value,
            )
            for field in cls.members.values()
            if isinstance(field, Attribute) and field.annotation is not None
        ]
        constructor = Function("__init__", parameters=Parameters(Parameter("self"), *fields), parent=cls)
        cls.set_member("__init__", constructor)
