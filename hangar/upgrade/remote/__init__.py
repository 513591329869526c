"""What `upgrade` does on the machine. It travels there with the agent: Python's standard library is all there is."""
