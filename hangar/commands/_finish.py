"""How `up` and `verify` end: the report in its three forms, and the exit code."""

from hangar import console, report


def finish(run: report.Report, *, as_json: bool) -> int:
    page = report.write(run)
    report.show(run, page)
    if as_json:
        console.json(report.as_dict(run))
    return run.exit_code
