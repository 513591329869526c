"""What a run has to say: on the terminal, as JSON for programs, and as a page to hand on."""

from hangar.report.files import write
from hangar.report.plan import show_plan
from hangar.report.record import Report, as_dict
from hangar.report.terminal import show

__all__ = ["Report", "as_dict", "show", "show_plan", "write"]
