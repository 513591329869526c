"""The evidence: each control with its outcome, what scanners say of it, and what changed since the last time."""
