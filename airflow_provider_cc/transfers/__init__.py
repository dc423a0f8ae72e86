"""From the contact centre into a database."""
