# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Measuring the platform, and asking Prometheus for what it knows."""
