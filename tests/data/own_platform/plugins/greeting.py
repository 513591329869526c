"""A plugin of a user's own: Airflow lists it by its name."""

from airflow.plugins_manager import AirflowPlugin


class GreetingPlugin(AirflowPlugin):
    name = "greeting"
