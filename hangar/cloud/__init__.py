"""The places a machine can come from, behind one small protocol (base.py)."""
