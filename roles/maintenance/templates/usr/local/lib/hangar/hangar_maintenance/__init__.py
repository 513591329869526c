# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""Reboots that wait for the machine's work."""
