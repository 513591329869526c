"""The example pipeline `elt` seen from here: run once on a fresh machine, and what it made is shown."""
