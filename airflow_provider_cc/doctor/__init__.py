"""Connection check: tests a connection against its real contact center, read-only, and suggests settings."""
