# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""What keeps the warehouse as it is described, on its machine and with what Debian has there alone."""
