"""Connection, session and transport: how Airflow talks to the three systems."""
