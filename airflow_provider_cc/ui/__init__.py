"""The page *Contact center sync* in Airflow's UI."""
