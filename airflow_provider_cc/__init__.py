"""Apache Airflow provider for cloud contact centres (CC)."""
