"""What a run did, in numbers that must add up."""

from __future__ import annotations

from dataclasses import dataclass, fields

from airflow_provider_cc.exceptions import CCError


@dataclass
class Counts:
    """The books of a run, over all its tries.

    :param requested: accounts that the source delivered
    :param duplicates: those among them that had come before
    :param unique: the others
    :param synced: accounts whose row is now as the contact centre says
    :param added: new rows among them
    :param changed: rows with another value than before
    :param unchanged: rows as before
    :param deactivated: rows closed, since the directory no longer knows the account
    :param reactivated: rows that had been closed
    :param rejected: accounts that could not be read
    :param resumed: accounts that earlier tries had finished
    :param requests: requests sent, sign-ins not counted
    :param sign_ins: sign-ins
    """

    requested: int = 0
    duplicates: int = 0
    unique: int = 0
    synced: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deactivated: int = 0
    reactivated: int = 0
    rejected: int = 0
    resumed: int = 0
    requests: int = 0
    sign_ins: int = 0

    def add(self, other: Counts) -> None:
        """Add other counts to these."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def check(self) -> None:
        """Insist that nothing was lost and nothing counted twice.

        :raises CCError: the books do not balance
        """
        if (
            self.requested != self.unique + self.duplicates
            or self.unique != self.synced + self.rejected
            or self.synced != self.added + self.changed + self.unchanged + self.reactivated
        ):
            raise CCError(f"the books do not balance, so rows may be missing or double: {self}")
