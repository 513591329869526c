# Written by Hangar (role backup). Changes made here are lost at the next run.
"""The backups of this machine: made, verified, encrypted, sent, and put back."""
