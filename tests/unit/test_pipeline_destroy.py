"""What `destroy` removes and what it leaves: state, backups and the key that reads them."""

from pathlib import Path

import pytest

from hangar import forgetting, paths, pipeline
from hangar.errors import CloudError
from tests.unit.stages import Make, Stages


def test_destroy_leaves_nothing(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    paths.hosts_file("local").write_text("all: {}\n")
    (paths.log_dir("local") / "old.log").touch()
    assert pipeline.destroy(make_config()) == [
        "the forwards", "container hangar-local", "~/.ssh/config.d/hangar-local",
        "inventory/local/hosts.yml", ".hangar/local",
    ]  # fmt: skip
    assert not paths.hosts_file("local").exists()
    assert not paths.state_dir("local").exists()
    assert paths.platform_file("local").exists()


def test_destroy_leaves_backups_and_the_key_that_reads_them(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    assert forgetting.kept_backups(make_config()) == []
    paths.backups_dir("local").mkdir()
    (paths.backups_dir("local") / "20261101T031500Z.json").touch()
    assert forgetting.kept_backups(make_config()) == [".hangar/local/backups, and the key that reads them"]
    pipeline.destroy(make_config())
    assert sorted(path.name for path in paths.state_dir("local").iterdir()) == [
        "backup-key", "backup-key.pub", "backups",
    ]  # fmt: skip
    assert pipeline.destroy(make_config()) == ["the forwards", "~/.ssh/config.d/hangar-local"]


def test_destroy_leaves_the_only_key_of_backups_that_lie_elsewhere(stages: Stages, make_config: Make) -> None:
    where = "backup.sftp={host: b.example.org, user: u, keeper: k, folder: /b, host_key: [ssh-ed25519 AAAA]}"
    pipeline.up(make_config())
    kept = [".hangar/local/backup-key, the only key that reads its backups"]
    assert forgetting.kept_backups(make_config(where)) == kept
    assert forgetting.kept_backups(make_config(), data_stays=True) == kept
    pipeline.destroy(make_config(where))
    assert sorted(path.name for path in paths.state_dir("local").iterdir()) == [
        "backup-key",
        "backup-key.pub",
    ]


def test_the_key_stays_where_nobody_can_look_for_backups(
    stages: Stages, make_config: Make, tmp_path: Path
) -> None:
    """Their folder may be on a disk that is not there just now; or platform.yml does not say where they are."""
    kept = [".hangar/local/backup-key, the only key that reads its backups"]
    away = make_config(f"backup.folder={tmp_path}/away")
    pipeline.up(away)
    assert forgetting.kept_backups(away) == kept
    pipeline.destroy(away)
    assert forgetting.kept_backups(make_config(), is_unsure=True) == kept
    pipeline.destroy(make_config(), is_unsure=True)
    assert paths.backup_key("local").exists()
    assert forgetting.kept_backups(make_config()) == []
    pipeline.destroy(make_config())
    assert not paths.backup_key("local").exists()


def test_destroying_nothing_removes_nothing(stages: Stages, make_config: Make) -> None:
    stages.tunnel_was_open = False
    assert pipeline.destroy(make_config()) == ["~/.ssh/config.d/hangar-local"]
    assert not paths.state_dir("local").exists()


def test_what_destroy_could_not_remove_keeps_its_state(stages: Stages, make_config: Make) -> None:
    """The key and the pinned host keys are needed for another try."""
    pipeline.up(make_config())
    stages.cloud.fail_at = "destroy"
    with pytest.raises(CloudError):
        pipeline.destroy(make_config())
    assert paths.default_private_key("local").exists()
