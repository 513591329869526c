# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""Airbyte's platform on this machine: what abctl made of it, and what of it is still to be done."""
