"""One upgrade of one machine: drained, kept, upgraded, proven; and the way back where that does not hold."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hangar import pipeline, verification
from hangar.backup import work as backup
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.console import Progress
from hangar.errors import HangarError
from hangar.upgrade import excuses, planning
from hangar.upgrade.machine import Machine, Refused
from hangar.upgrade.records import Item, Plan
from hangar.upgrade.remote import PLATFORM_BACK

BETWEEN_LOOKS = 2.0
LONGEST = 1440
"""Minutes that tasks may take to end, at most: meanwhile none begins."""


class Undone(HangarError):
    """The upgrade failed, and what was there before is in service again."""


class HalfWay(HangarError):
    """The upgrade failed, and so did the way back."""


class Broken(HangarError):
    """Promises that held before the upgrade do not hold after it."""


@dataclass(frozen=True)
class Done:
    """What `apply` did. `packages` are Debian's that were upgraded, `backup` names what was made first."""

    plan: Plan
    packages: tuple[Item, ...] = ()
    backup: str = ""
    broken_before: tuple[str, ...] = ()


@dataclass
class Attempt:
    """One upgrade of one machine."""

    config: Config
    server: Server
    there: Machine
    progress: Progress
    wanted: Plan
    broken: tuple[str, ...] = ()

    def make(self, minutes: float, *, without_backup: bool) -> Done:
        cut = self.wanted.cut
        self.broken = cut.broken if cut else self._before()
        made = ""
        if not without_backup and not cut:
            with self.progress.stage("Backup"):
                made = backup.now(self.config, self.progress.report)[0].id
        if not self.wanted.needs_drain:
            packages = self._packages()
            self._judge()
            return Done(self.wanted, packages, made, self.broken)
        self._prepare(minutes)
        packages = ()
        try:
            packages = self._packages()
            with self.progress.stage("Playbook"):
                self._configure()
            self._judge()
        except HangarError as error:
            raise self._undone(error, packages, made) from error
        with self.progress.stage("Release"):
            self.there.done()
            self.there.release()
        return Done(self.wanted, packages, made, self.broken)

    def _prepare(self, minutes: float) -> None:
        """No task begins, none runs, and what is there now is kept. Otherwise everything goes on as before."""
        with self.progress.stage("Drain"):
            if self._goes_on():
                self.there.drain(again=True)
                return
            try:
                self.there.drain()
            except Refused:
                if self.wanted.cut is None:
                    raise
                # An Airflow that the first call left half upgraded does not answer, and nothing of it runs.
                self.there.drain(again=True)
                return
            try:
                self._wait(minutes)
                self.progress.report("keep what is there: files, images, databases")
                self.there.keep(list(self.broken))
            except HangarError:
                self.there.release()
                raise

    def _configure(self) -> None:
        """The playbook. To another release of Airbyte's platform it has leave for this once: hosts.yml is afterwards
        what platform.yml says.
        """
        if not self.wanted.changes(planning.PLATFORM):
            pipeline.configure(self.config, self.progress)
            return
        pipeline.introduce(self.server, with_leave(self.config))
        try:
            pipeline.configure(self.config, self.progress)
        finally:
            pipeline.introduce(self.server, self.config)

    def _goes_on(self) -> bool:
        """Whether an upgrade that was cut short is still drained: then what it kept is what there is to go back to."""
        return self.wanted.cut is not None and self.wanted.cut.held

    def _wait(self, minutes: float) -> None:
        deadline, told = time.monotonic() + 60 * minutes, ""
        while left := self.there.busy():
            named = ", ".join(left)
            if named != told:
                self.progress.report(f"wait for {named}")
                told = named
            if time.monotonic() > deadline:
                again = f"./provision.py upgrade apply {self.config.environment}"
                longer = min(max(4 * minutes, 60), LONGEST)
                raise HangarError(
                    f"Something still runs after {minutes:g} minutes; nothing was upgraded, and tasks begin again.",
                    f"* {named}", f"Wait for it, then: {again}\nOr wait longer: {again} --minutes {longer:g}",
                )  # fmt: skip
            time.sleep(BETWEEN_LOOKS)

    def _packages(self) -> tuple[Item, ...]:
        if not any(self.wanted.changes(name) for name in ("security", "debian", "docker")):
            return ()
        docker = [item.name for group in self.wanted.groups if group.name == "docker" for item in group.items]
        with self.progress.stage("Debian packages"):
            self.progress.report("upgrade Debian's packages")
            return self.there.packages(docker)

    def _before(self) -> tuple[str, ...]:
        """The promises that the machine gave and does not keep: no upgrade is to blame for them."""
        found = self._prove("Verification before")
        return tuple(words(one) for one in found if excuses.is_excused(one, self.wanted.made_from))

    def _prove(self, name: str) -> list[verification.Promise]:
        """The promises that do not hold."""
        with self.progress.stage(name):
            found = verification.verify(self.server, self.progress.step)
        return [one for one in found if one.outcome == "broken"]

    def _judge(self) -> None:
        """Returns when every promise holds that held before.

        Raises:
            Broken: with those that do not.
        """
        lost = [one for one in map(words, self._prove("Verification")) if one not in self.broken]
        if lost:
            raise Broken(
                "After the upgrade, something that held before does not hold any more.",
                "\n".join(f"* {one}" for one in lost),
                f"Its reasons: ./provision.py verify {self.config.environment}",
            )

    def _undone(self, error: HangarError, packages: Sequence[Item], made: str) -> HangarError:
        """What was there before is in service again; the error that says so, and why."""
        env = self.config.environment
        why = "\n".join([f"* {error.brief}", *(f"  {line}" for line in error.details.splitlines())])
        try:
            with self.progress.stage("Way back"):
                self.progress.report("put back what was there before")
                said = self.there.undo()
                self.there.release()
        except HangarError as second:
            instead = (
                f"\nOr the data of the backup: ./provision.py backup restore {env} --from {made}"
                if made
                else ""
            )
            return HalfWay(
                "The upgrade failed, and what was there before could not be put back.",
                f"{why}\n* {second.brief}\n  {second.details}",
                f"The same command goes on from there: ./provision.py upgrade apply {env}{instead}",
            )
        kept = (
            f"\n* stay upgraded: {len(packages)} Debian packages (/var/log/apt/history.log)"
            if packages
            else ""
        )
        stays, cure = self._platform_stays(said, made)
        return Undone(
            "The upgrade failed; what was there before is in service again, and tasks begin.",
            f"{why}\n" + "\n".join(f"* put back: {one}" for one in said) + kept + stays
            + "\n* stay as this checkout has them: the other roles' files, and DAGs that were released",
            f"Prove it: ./provision.py verify {env}\nThe other roles' files come back with the earlier checkout's "
            f"./provision.py up {env}{cure}",
        )  # fmt: skip

    def _platform_stays(self, said: Sequence[str], made: str) -> tuple[str, str]:
        """Of Airbyte's platform, where it did not go back: that it did not, and what brings it back."""
        release = [item for group in self.wanted.groups if group.name == planning.PLATFORM for item in group.items
                   if item.name == planning.RELEASE]  # fmt: skip
        if PLATFORM_BACK in said or not self.wanted.changes(planning.PLATFORM):
            return "", ""
        steps = "".join(
            f"\n  {line}"
            for item in release
            for line in planning.return_of_platform(self.config.environment, item.old, made)
        )
        copies = "\n* not put back: Airbyte's platform (its copies from before: /srv/airbyte/backups)"
        return copies, steps and f"\nAirbyte's platform comes back by hand:{steps}"


def with_leave(config: Config) -> Config:
    """The settings of a call that may bring Airbyte's platform to another release."""
    abctl = config.airbyte.abctl.model_copy(update={"upgrade": True})
    return config.model_copy(update={"airbyte": config.airbyte.model_copy(update={"abctl": abctl})})


def words(promise: verification.Promise) -> str:
    """`ROLE: SENTENCE`."""
    return f"{promise.role}: {promise.sentence}"
