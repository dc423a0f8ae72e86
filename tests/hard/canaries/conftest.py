"""What the tests of the hooks have, for what is asked in this process."""

from tests.hooks.conftest import _own_environment, _own_variables, _short_waits, connect, logged
from tests.hooks.test_tracebacks import everything

__all__ = [
    "_own_environment",
    "_own_variables",
    "_short_waits",
    "connect",
    "everything",
    "logged",
]
