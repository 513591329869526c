"""Starts a module of this folder on the worker's Python: `python launch.py check`.

The package is appended to the path, not put first: the worker's packages are not the service's.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    del sys.path[0]  # this folder: its modules are imported by their full names
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    module = f"airbyte_embedded.worker.{sys.argv[1]}"
    sys.argv = [module, *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
