"""Our own way through IAP, for `ssh` as a ProxyCommand: `python -m hangar.cloud.gcp.relay --help`.

Nothing is imported here: every login waits for what this package loads.
"""
