"""Examines a connection against its real contact centre, read-only: what fits, what does not, what to set."""
