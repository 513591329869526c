"""A DAG that needs all that a user may add to Airflow: a package, a program, settings, a connection, variables."""

import hashlib
import os
import shutil
import subprocess

from airflow.sdk import BaseHook, Variable, dag, task


@dag(schedule=None)
def own_platform():
    @task
    def use():
        import humanize

        assert humanize.intcomma(12345) == "12,345"
        assert shutil.which("tree")
        alone = [
            "/opt/humanizer/bin/python",
            "-c",
            "import humanize, importlib.util as u; print(u.find_spec('airflow'))",
        ]
        assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout == "None\n"
        assert os.environ["OWN_VARIABLE"] == "50% of $HOME"
        connection = BaseHook.get_connection("erp")
        assert (connection.host, connection.login) == ("erp.example.com", "reader")
        assert Variable.get("region") == "europe-west1"
        limits = Variable.get("limits", deserialize_json=True)
        assert limits == {"rows": 5, "token": connection.password}
        # Its hash, so that the password stands in no file of this repository and in no log.
        return hashlib.sha256(connection.password.encode()).hexdigest()

    use()


own_platform()
