"""What goes from this computer with a machine, and what stays: backups, and the key that reads them."""

import shutil
from pathlib import Path

from hangar.backup import work as backup
from hangar.config import Config
from hangar.paths import (
    backup_key,
    backup_newest,
    backup_signers,
    backups_dir,
    hosts_file,
    shown,
    state_dir,
)
from hangar.ssh.keys import public_path


def forget(config: Config, *, data_stays: bool = False, is_unsure: bool = False) -> list[str]:
    """Removes what was written here about a machine: inventory, keys, reports, logs. The lock goes with it; backups
    and the key that reads them stay: a machine is made again from them.
    """
    state, hosts = state_dir(config.environment), hosts_file(config.environment)
    stays = _backups(config, opens_more=data_stays or is_unsure)
    written = [entry for entry in state.iterdir() if entry not in stays]
    found = [hosts] if hosts.exists() else []
    found += [state] if [entry.name for entry in written] != ["lock"] else []
    hosts.unlink(missing_ok=True)
    if stays:
        for entry in written:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    else:
        shutil.rmtree(state)
    return [shown(path) for path in found]


def _backups(config: Config, *, opens_more: bool) -> set[Path]:
    """Backups that were fetched, and the key, wherever there is or may be something that it opens. One that opens
    nothing is nobody's loss.
    """
    folder, key = backups_dir(config.environment), backup_key(config.environment)
    proofs = {
        path
        for path in (backup_signers(config.environment), backup_newest(config.environment))
        if path.exists()
    }
    pair = {path for path in (key, public_path(key)) if path.exists()}
    if any(folder.glob("*.json")):
        return {folder, *pair, *proofs}
    return pair | proofs if opens_more or backup.places_elsewhere(config) else set()


def kept_backups(config: Config, *, data_stays: bool = False, is_unsure: bool = False) -> list[str]:
    """What `destroy` leaves here, in words."""
    stays = _backups(config, opens_more=data_stays or is_unsure)
    if not stays & {backups_dir(config.environment), backup_key(config.environment)}:
        return []
    folder = backups_dir(config.environment)
    if folder in stays:
        return [f"{shown(folder)}, and the key that reads them"]
    return [f"{shown(backup_key(config.environment))}, the only key that reads its backups"]
