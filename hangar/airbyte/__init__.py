"""Pipelines as code: what pipelines/*.yml declares becomes what Airbyte holds, through its API.

    files → Declared → Wanted ┐
         load, model   wanted ├→ planning → checks → apply → client → session ═ SSH ═ agent (on the machine) → Airbyte
          Airbyte's answers → Found ┘

The controller holds no secret and no token: see `agent`.
"""
