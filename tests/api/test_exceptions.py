"""One tree of exceptions, which Airflow understands and which travels between processes."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_cc.compat import AirflowException, AirflowFailException
from airflow_provider_cc.exceptions import (
    CCAuthError,
    CCBusinessError,
    CCConfigError,
    CCError,
    CCPermissionError,
    CCResponseError,
    CCSessionRefused,
    CCSignInUnavailable,
    CCTransientError,
)

CALL_ERRORS = [
    CCAuthError,
    CCSessionRefused,
    CCBusinessError,
    CCPermissionError,
    CCResponseError,
    CCTransientError,
    CCSignInUnavailable,
]


@pytest.mark.parametrize("error", [*CALL_ERRORS, CCConfigError])
def test_everything_is_an_airflow_exception_of_ours(error):
    assert issubclass(error, CCError)
    assert issubclass(error, AirflowException)


@pytest.mark.parametrize("error", [CCAuthError, CCSessionRefused, CCConfigError])
def test_airflow_does_not_retry_what_another_try_makes_worse(error):
    assert issubclass(error, AirflowFailException)


@pytest.mark.parametrize("error", [CCBusinessError, CCResponseError, CCTransientError, CCSignInUnavailable])
def test_airflow_may_retry_the_rest(error):
    assert not issubclass(error, AirflowFailException)


@pytest.mark.parametrize("error", CALL_ERRORS)
def test_endpoint_code_and_text_survive_pickling(error):
    failure = pickle.loads(pickle.dumps(error("logininfo", "100-001", "words")))  # noqa: S301 - our own
    assert (type(failure), failure.endpoint, failure.code, failure.text) == (
        error,
        "logininfo",
        "100-001",
        "words",
    )


@pytest.mark.parametrize("error", [CCTransientError, CCSignInUnavailable])
def test_the_wait_survives_pickling(error):
    failure = pickle.loads(pickle.dumps(error("logininfo", "HTTP 429", "", 429, 7.5)))  # noqa: S301 - our own
    assert (failure.status, failure.retry_after) == (429, 7.5)


def test_a_config_error_survives_pickling():
    failure = pickle.loads(pickle.dumps(CCConfigError("needs host")))  # noqa: S301 - our own
    assert (type(failure), str(failure)) == (CCConfigError, "needs host")


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("logininfo", "100-001", "words"), "logininfo: 100-001: words"),
        (("logininfo", "100-001"), "logininfo: 100-001"),
        (("logininfo",), "logininfo"),
    ],
)
def test_the_text_names_endpoint_code_and_words(parts, text):
    assert str(CCBusinessError(*parts)) == text
