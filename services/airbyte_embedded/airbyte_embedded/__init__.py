"""Airbyte's public API v1 in one small process; real connectors run through PyAirbyte in processes of their own."""

VERSION = "0.1.0"
ENGINE = "airbyte-embedded"
