"""The report on the terminal."""

from pathlib import Path

from hangar import console
from hangar.controls import LEFT_OPEN
from hangar.elt.records import Gold
from hangar.report import words
from hangar.report.limits import limits
from hangar.report.record import Report
from hangar.verification import Outcome

SIGNS = {
    "held": ("✓", "green"),
    "broken": ("✗", "bold red"),
    "unchecked": ("–", "dim"),
    "excepted": ("○", "yellow"),
}


def show(report: Report, page: Path | None = None) -> None:
    """Each promise as a sentence, then where things are and what to do next. `page` is the HTML report."""
    _promises(report)
    _unchecked(report)
    if report.gold:
        _gold(report.gold)
    _excepted(report)
    console.say()
    console.say(summary(report), "bold green" if report.holds else "bold red")
    console.say()
    if report.airflow:
        console.say(f"Airflow   {report.airflow}   user {words.AIRFLOW_USER}", "bold")
        console.say(f"Password  {words.password_command(report.config.environment)}")
    if page:
        console.say(f"Report    {page}")
    _limits(report)
    _next(report)


def summary(report: Report) -> str:
    """One line: how many promises hold, are broken, cannot be checked.

    Only what was checked is counted as held.
    """
    held, broken, unchecked, excepted = (
        len(report.of(outcome)) for outcome in ("held", "broken", "unchecked", "excepted")
    )
    parts = [f"{held} promises hold" if held != 1 else "1 promise holds"]
    parts.append(f"{broken} broken")
    if unchecked:
        parts.append(f"{unchecked} cannot be checked on {words.kind(report.server)}")
    if excepted:
        parts.append(f"{excepted} left open on purpose")
    return ", ".join(parts) + "."


def _promises(report: Report) -> None:
    for role, promises in report.by_role:
        console.say()
        console.say(words.ROLES.get(role, role), "bold")
        for promise in promises:
            sign, style = SIGNS[promise.outcome]
            console.say(f"  {sign} {promise.sentence}", style)
            for line in promise.reason.splitlines() if promise.outcome == "broken" else ():
                console.say(f"      {line}")


def _unchecked(report: Report) -> None:
    _listed(report, "unchecked", "Not checked")


def _excepted(report: Report) -> None:
    _listed(report, "excepted", "Left open on purpose")


def _listed(report: Report, outcome: Outcome, title: str) -> None:
    """The promises with this outcome and their reasons, where there are any."""
    if not report.of(outcome):
        return
    console.say()
    console.say(title, "bold")
    for promise in report.of(outcome):
        sign, style = SIGNS[outcome]
        console.say(f"  {sign} {promise.sentence}: {promise.reason.removeprefix(LEFT_OPEN)}", style)


def _gold(gold: Gold) -> None:
    """The tables with their size and columns; the page has their first rows."""
    console.say()
    console.say("Gold: what people read", "bold")
    width = max((len(table.name) for table in gold.tables), default=0)
    for table in gold.tables:
        columns = ", ".join(table.columns)
        console.say(f"  gold.{table.name:{width}}  {words.rows(table.rows):>12}  {columns}")
    console.say(f"  {words.gold_made(gold)}")


def _limits(report: Report) -> None:
    """The first sentence of each; the report has the whole."""
    console.say()
    console.say("What it does not protect from", "bold")
    for limit in limits(report.config, report.server):
        console.say(f"  {limit.partition('. ')[0].rstrip('.')}.")


def _next(report: Report) -> None:
    console.say()
    console.say("What to do next", "bold")
    for step in words.next_steps(report.config, holds=report.holds):
        if not report.airflow or step.how != words.password_command(report.config.environment):
            console.say(f"  {step.what}: {step.how}")
