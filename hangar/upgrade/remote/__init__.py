"""What `upgrade` does on the machine. It travels there with the agent: Python's standard library is all there is.

This computer may import this module and `prints`, and no other of them: the rest needs the machine's own modules.
"""

PLATFORM_BACK = "Airbyte's platform as it was"
"""What is said of a way back that it went too."""
