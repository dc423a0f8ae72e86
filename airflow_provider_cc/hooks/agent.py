"""One agent: an account or agent ID, its password, its softphone number."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from airflow_provider_cc.api.secret import Unpicklable
from airflow_provider_cc.compat import BaseHook, mask_secret
from airflow_provider_cc.exceptions import CCConfigError
from airflow_provider_cc.hooks.connection import CCForm
from airflow_provider_cc.hooks.once import MadeAnew


@dataclass(frozen=True)
class AgentCredentials(Unpicklable):
    """What a ``cc_agent`` connection says.

    :param login: sign-in account or agent ID
    :param password: its password
    :param phone_number: softphone number to sign in with; may be empty
    """

    login: str
    password: str = field(repr=False)
    phone_number: str


class CCAgentHook(MadeAnew, CCForm, BaseHook):
    """Reads a ``cc_agent`` connection; the other hooks use what it says.

    :param cc_conn_id: connection id
    """

    conn_name_attr = "cc_conn_id"
    conn_type = "cc_agent"
    default_conn_name = "cc_agent_default"
    hook_name = "CC agent"

    def __init__(self, cc_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.cc_conn_id = cc_conn_id

    @cached_property
    def credentials(self) -> AgentCredentials:
        """The connection, read from Airflow once.

        :raises CCConfigError: login or password is empty
        """
        connection = self.get_connection(self.cc_conn_id)
        login, password = (connection.login or "").strip(), connection.password or ""
        missing = [name for name, value in (("login", login), ("password", password)) if not value]
        if missing:
            raise CCConfigError(f"connection {self.cc_conn_id!r} (cc_agent): needs {', '.join(missing)}")
        mask_secret(password)
        return AgentCredentials(
            login, password, str(connection.extra_dejson.get("phone_number") or "").strip()
        )

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection is complete; signs nobody in, as that would take the agent's seat."""
        try:
            credentials = self.credentials
        except CCConfigError as error:
            return False, str(error)
        except Exception as error:
            return False, f"Connection {self.cc_conn_id!r} cannot be read: {type(error).__name__}"
        phone = "" if credentials.phone_number else " There is no phone_number: CC-Gateway cannot use it."
        return True, f"Complete. Not signed in, since that would take the agent's seat.{phone}"
