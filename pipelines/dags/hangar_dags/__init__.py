"""What several DAGs share. The root of the bundle is on the path of whatever reads or runs a DAG."""
