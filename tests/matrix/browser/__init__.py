"""An editor's server and a browser to see it with, in an image of their own: neither comes onto the machine as root,
and nothing comes onto this computer.
"""
