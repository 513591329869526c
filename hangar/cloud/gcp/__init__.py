"""Google Cloud: a machine on Compute Engine, and the way to it."""
