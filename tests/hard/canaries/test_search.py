"""The search itself: it finds a canary in every form and wrapping, and nothing where there is none."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import zlib
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from tests.hard.canaries.canaries import Search, canary

KEY = Fernet.generate_key().decode()
SECRET = canary()

FORMS = {
    "as it is": SECRET,
    "its first 20 characters": SECRET[:20],
    "its end": SECRET[10:],
    "JSON": json.dumps({"a": [SECRET]}),
    "JSON in JSON": json.dumps(json.dumps({"a": SECRET})),
    "URL": quote(SECRET, safe=""),
    "Basic": base64.b64encode(f"user:{SECRET}".encode()),
    "URL-safe Basic": base64.urlsafe_b64encode(f"a longer user:{SECRET}".encode()),
    "reversed": SECRET[::-1],
    "hexadecimal": SECRET.encode().hex(),
    "pickle": pickle.dumps({"password": SECRET}),
    "zlib": zlib.compress(SECRET.encode()),
    "gzip": gzip.compress(SECRET.encode()),
    "zlib in base64": b'{"data": "' + base64.b64encode(zlib.compress(SECRET.encode() * 3)) + b'"}',
    "sealed": b"('" + Fernet(KEY).encrypt(SECRET.encode()) + b"',)",
    "pickle in sealed JSON": Fernet(KEY).encrypt(json.dumps({"a": pickle.dumps(SECRET).hex()}).encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str) -> None:
    assert Search({"secret": SECRET, "other": canary()}, KEY).hits(FORMS[form]) == {"secret"}


@pytest.mark.parametrize("secret", ["ꙮ", "ꙮჶ", "ჷꙮჶ"])
def test_short_ones_are_found_too(secret: str) -> None:
    search = Search({"short": secret}, KEY)
    said = f"it is {secret}."
    for text in (said, json.dumps(said), quote(said), repr(said.encode()), pickle.dumps(said)):
        assert search.hits(text) == {"short"}, text
    assert search.hits(Fernet(KEY).encrypt(said.encode())) == {"short"}


def test_nothing_is_found_where_nothing_is() -> None:
    search = Search({"secret": SECRET}, KEY)
    assert search.hits("***" * 100) == search.hits(canary(plain=True)[5:9]) == set()
    assert search.hits(Fernet(KEY).encrypt(SECRET.encode()), unsealed=False) == set()
    assert search.hits(Fernet(Fernet.generate_key()).encrypt(SECRET.encode())) == set()
