from tests.templates.render import render, settings


def test_an_editor_may_watch_as_much_as_is_set() -> None:
    text = render("remote_ssh", "/etc/sysctl.d/60-hangar-remote-ssh.conf", remote_ssh_watched_files=1000)
    assert settings(text) == {"fs.inotify.max_user_watches": "1000", "fs.inotify.max_user_instances": "1024"}
