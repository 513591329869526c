"""People coming and going: written into platform.yml, made true on the machine, proven by a login attempt."""
