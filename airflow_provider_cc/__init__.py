"""Apache Airflow provider for cloud contact centers (CC)."""
