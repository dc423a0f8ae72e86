"""The sync: read → stage → apply."""
