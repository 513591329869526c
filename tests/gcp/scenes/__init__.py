"""What Hangar does on Google Cloud in scenes, so that every method that it calls can go wrong once in each way.

`before` makes what there is, `act` is what is disturbed. After it the next `up` (or, where that is said, the same
command once more) ends in the right state: `after` judges it.
"""

from tests.gcp import methods
from tests.gcp.conftest import Environment
from tests.gcp.scenes import anew, attached, changes, locks, looks
from tests.gcp.scenes.scene import Scene, nothing

SCENES = {
    "change": Scene(changes.age, Environment.up, methods.CHANGE),
    "life": Scene(Environment.up, changes.live, methods.LIFE),
    "replace": Scene(anew.outdate, Environment.up, methods.REPLACE, anew.require_anew),
    "restore": Scene(anew.take, anew.restore, methods.RESTORE, anew.require_restored),
    "leave": Scene(attached.come, attached.leave, methods.LEAVE, attached.require_shut),
    "secrets": Scene(attached.give, Environment.up, methods.SECRETS, attached.require_secrets),
    "watch": Scene(attached.want_watch, Environment.up, methods.WATCH, attached.require_watched),
    "watch otherwise": Scene(
        attached.want_other_watch, Environment.up, methods.WATCH_OTHERWISE, attached.require_watched
    ),
    "watch no more": Scene(
        attached.want_no_watch, Environment.up, methods.WATCH_NO_MORE, attached.require_unwatched
    ),
    "break lock": Scene(locks.lock_out, locks.break_lock, methods.BREAK_LOCK),
    "dead lock": Scene(locks.die, locks.take_over, methods.DEAD_LOCK),
    "exhausted": Scene(nothing, looks.find_nothing_left, methods.EXHAUSTED),
    "silent": Scene(nothing, looks.hear_nothing, methods.SILENT),
    "pinned": Scene(looks.pin, Environment.up, methods.PINNED),
    "doctor": Scene(Environment.up, looks.examine, methods.DOCTOR),
    "doctor of secrets": Scene(
        attached.give, looks.examine, methods.DOCTOR_OF_SECRETS, attached.require_secrets
    ),
    "doctor of a key": Scene(looks.lock_disks, looks.examine, methods.DOCTOR_OF_KEY),
    "backups": Scene(looks.keep_backups, looks.read_backups, methods.BACKUPS),
    "end": Scene(Environment.up, changes.end, methods.END),
}


def withstand(environment: Environment, name: str, method: str, kind: str) -> None:
    """The scene `name`, in which the method goes wrong once in this way and `act` does not fail by it."""
    scene = SCENES[name]
    scene.before(environment)
    fault = environment.google.fault(method, kind)
    scene.act(environment)
    assert environment.google.fired(fault) == 1
    scene.after(environment)
