"""What this repository pins, what is newer, and what of it has a known vulnerability.

pip-audit was weighed: it reads one lock for the one Python that runs it, while ours are for several, and it does not
say what is newer. What is left of it is one question to OSV, which is asked here (osv.py).
"""
