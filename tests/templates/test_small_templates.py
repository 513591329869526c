from tests.templates.render import render, settings


def test_an_editor_may_watch_as_much_as_is_set() -> None:
    text = render("remote_ssh", "/etc/sysctl.d/60-hangar-remote-ssh.conf", remote_ssh_watched_files=1000)
    assert settings(text) == {"fs.inotify.max_user_watches": "1000", "fs.inotify.max_user_instances": "1024"}


def test_nobody_types_into_a_terminal_that_roots_call_of_a_service_user_shares() -> None:
    """A shell of root's is at that terminal, and would read what `as-service USER …` left there."""
    text = render("hardening_kernel", "/etc/sysctl.d/70-hangar-hardening.conf")
    assert "-dev.tty.legacy_tiocsti = 0" in text.splitlines()
