"""The findings as a plain table, for a terminal."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from airflow_provider_cc.doctor.findings import Finding

_CHECK, _VERDICT = 24, 8


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as text, followed by the suggested settings.

    :param findings: the findings, in order
    """
    width = min(160, max(100, shutil.get_terminal_size((120, 0)).columns))
    seen = (width - _CHECK - _VERDICT - 3) * 3 // 5
    advice = width - _CHECK - _VERDICT - 3 - seen
    widths = (_CHECK, _VERDICT, seen, advice)
    lines = [*_row(("check", "verdict", "seen", "what to do"), widths), " ".join("-" * w for w in widths)]
    for finding in findings:
        told = finding.as_dict()
        lines += _row((told["check"], told["verdict"], told["seen"], told["advice"]), widths)
    return "\n".join([*lines, *_suggestions(findings)]) + "\n"


def suggested(findings: Sequence[Finding]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the extras and fields that the findings suggest.

    :param findings: all of them
    """
    extras: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for finding in findings:
        extras |= finding.extra
        fields |= finding.fields
    return extras, fields


def _suggestions(findings: Sequence[Finding]) -> Iterator[str]:
    extras, fields = suggested(findings)
    if extras:
        yield ""
        yield f"Suggested extras, in addition to the existing ones: {json.dumps(extras)}"
    if fields:
        yield ""
        yield f"Suggested fields: {json.dumps(fields)}"


def _row(cells: tuple[str, ...], widths: tuple[int, ...]) -> list[str]:
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    return [
        " ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*columns, fillvalue="")
    ]
