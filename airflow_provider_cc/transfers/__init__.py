"""From the contact center into a database."""
