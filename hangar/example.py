"""The commented platform.yml, which is also the settings' documentation."""

import jinja2

from hangar import paths
from hangar.config.fields import SUBIDS


def render(environment: str, cloud: str = "container") -> str:
    """A platform.yml in which every setting stands, commented out, with its default. On Google Cloud nobody but
    a release brings DAGs in.
    """
    loader = jinja2.FileSystemLoader(paths.REPO / "templates")
    engine = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return engine.get_template("platform.yml.j2").render(environment=environment, cloud=cloud, subids=SUBIDS)
