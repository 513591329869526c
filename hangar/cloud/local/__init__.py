"""What the machines on this computer's Docker engine have in common, be they containers or virtual."""
