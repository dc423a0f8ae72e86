"""Which failures are worth Airflow's own retries; asked by Airflow 3.3 and later.

Put it beside the retries of a task, or of all tasks of a DAG::

    default_args={"retries": 3, "retry_policy": CC_RETRY_POLICY}

Older versions leave the entry aside: Airflow takes from ``default_args`` only what an operator knows. There
the exceptions themselves stop the retries that would do harm, see :mod:`airflow_provider_cc.exceptions`.
"""

from __future__ import annotations

from airflow_provider_cc.compat import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow_provider_cc.exceptions import CCAuthError, CCBusinessError, CCConfigError, CCTransientError


def _policy() -> ExceptionRetryPolicy:
    return ExceptionRetryPolicy(
        rules=[
            # Without a delay of its own: after what time is the task's to say, back-off included.
            RetryRule(CCTransientError, RetryAction.RETRY, reason="no answer, or one that says: later"),
            # Airflow does not even ask about these, as they forbid retries themselves.
            RetryRule(
                [CCConfigError, CCAuthError], RetryAction.FAIL, reason="a matter of connection or credential"
            ),
            RetryRule(CCBusinessError, RetryAction.FAIL, reason="the contact center's answer is no"),
            # Exactly this class: those below it tell of anything, not of an argument.
            RetryRule(
                ValueError, RetryAction.FAIL, reason="an argument that does not fit", match_subclasses=False
            ),
        ]
        # All else, as the task says: a page of a firewall or a database that is away may be gone soon.
    )


CC_RETRY_POLICY: ExceptionRetryPolicy | None = None if ExceptionRetryPolicy is None else _policy()
"""Tries again what may pass, and fails at once what cannot; ``None`` before Airflow 3.3."""
