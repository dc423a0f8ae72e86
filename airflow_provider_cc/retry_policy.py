"""Retry policy for Airflow 3.3 and later: which failures are worth Airflow's own retries.

Set it together with the retries of a task, or of all tasks of a DAG::

    default_args={"retries": 3, "retry_policy": CC_RETRY_POLICY}

Older versions ignore the entry, because operators take only known arguments from ``default_args``. There, the
exceptions themselves prevent harmful retries: see :mod:`airflow_provider_cc.exceptions`.
"""

from __future__ import annotations

from airflow_provider_cc.compat import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCConfigError, CCTransientError


def _policy() -> ExceptionRetryPolicy:
    return ExceptionRetryPolicy(
        rules=[
            # No delay here: the task's own delay and back-off apply.
            RetryRule(CCTransientError, RetryAction.RETRY, reason="no answer, or a temporary failure"),
            # Airflow does not consult the policy for these, because they prevent retries themselves.
            RetryRule(
                [CCConfigError, CCAuthError], RetryAction.FAIL, reason="the connection or credential is wrong"
            ),
            RetryRule(CCBusinessError, RetryAction.FAIL, reason="the contact center rejected the call"),
            # Exactly this class: its subclasses have causes other than arguments.
            RetryRule(ValueError, RetryAction.FAIL, reason="an argument is invalid", match_subclasses=False),
        ]
        # Otherwise the task's retries apply: a firewall's error page or a database outage may be temporary.
    )


CC_RETRY_POLICY: ExceptionRetryPolicy | None = None if ExceptionRetryPolicy is None else _policy()
"""Retries temporary failures, and fails at once if a retry cannot help; ``None`` before Airflow 3.3."""
