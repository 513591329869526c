# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""What updates need is finished when the machine's work has ended."""
