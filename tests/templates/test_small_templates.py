from tests.templates.render import render, settings


def test_the_exporter_listens_on_loopback_whatever_the_port() -> None:
    path = "/etc/systemd/system/prometheus-node-exporter.service.d/50-hangar.conf"
    text = render("monitoring", path, monitoring_port=9200, monitoring_collectors=["cpu", "meminfo"])
    command = text.split("ExecStart=/usr/bin/")[1].split("\nRestart=")[0].replace("\\\n", "").split()
    assert command == [
        "prometheus-node-exporter",
        "--web.listen-address=127.0.0.1:9200",
        "--web.config.file=/run/node-exporter/web.yml",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
        "--collector.cpu",
        "--collector.meminfo",
        "--log.level=warn",
    ]
    assert "ExecStart=\nExecStart=/" in text  # Debian's own command is dropped first


def test_an_editor_may_watch_as_much_as_is_set() -> None:
    text = render("remote_ssh", "/etc/sysctl.d/60-hangar-remote-ssh.conf", remote_ssh_watched_files=1000)
    assert settings(text) == {"fs.inotify.max_user_watches": "1000", "fs.inotify.max_user_instances": "1024"}
