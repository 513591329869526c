"""Secrets that were made on the machine, made anew: which there are, how each is changed, and the proof that it was."""
