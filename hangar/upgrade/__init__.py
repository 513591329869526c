"""Newer software on a machine that is in use: seen beforehand, proven afterwards, undone where it does not hold."""
