"""The driver for Compute Engine against a stand-in for Google's APIs. No machine boots here: they end before SSH."""
