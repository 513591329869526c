"""Hangar: one command turns a laptop or an empty cloud project into a hardened data machine."""
