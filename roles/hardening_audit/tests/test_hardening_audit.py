"""What is recorded and what is noticed: by doing something that must be."""

import uuid

import pytest

UNITS = ("auditd.service", "hangar-integrity.service", "systemd-journal-upload.service")

KEY = "/srv/forwarding/secrets/key"
PUT = f"sudo install -m 0440 -g hangar-forwarding /dev/stdin {KEY} < key.pem"

TAKEN = """
until cursor=$(sed -n s/^LAST_CURSOR=//p /var/lib/systemd/journal-upload/state) && test -n "$cursor" &&
  rest=$(journalctl --quiet --after-cursor="$cursor" --identifier=hangar-forwarding --output=cat) &&
  ! echo "$rest" | grep --quiet --fixed-strings "$1"
do sleep 0.5; done
"""
"""Ends when the receiver has said that it has this line: what comes after the last one that it took is without it."""

COMPARE = """
set -e
folder=$(mktemp -d)
sed -e "s#/var/lib/hangar/integrity#$folder#" -e "/^\\//d" -e "/^!/d" /etc/aide/aide.conf > "$folder/aide.conf"
mkdir "$folder/watched"; echo one > "$folder/watched/file"; echo "$folder/watched Whole" >> "$folder/aide.conf"
aide --config="$folder/aide.conf" --init >/dev/null
mv "$folder/new.db.gz" "$folder/known.db.gz"
aide --config="$folder/aide.conf" --check >/dev/null && echo unchanged
echo two > "$folder/watched/file"
# Its status says that something has changed, which is what is asked for.
aide --config="$folder/aide.conf" --check | grep --only-matching 'f.*watched/file' | head -1 || true
rm -r "$folder"
"""


@pytest.mark.vm
def test_the_audit_trail_is_written(host):
    told = dict(line.split(" ", 1) for line in host.check_output("auditctl -s").splitlines() if " " in line)
    assert told["enabled"] == "2"
    assert told["lost"] == "0"
    assert host.service("auditd").is_running


@pytest.mark.vm
def test_every_rule_of_the_audit_trail_is_in_force(host):
    """Every rule is in force, none was left out when the machine started, and every folder of secrets is watched"""
    loaded = host.check_output("auditctl -l").splitlines()
    written = host.check_output("grep --count ^-a /etc/audit/audit.rules")
    assert len(loaded) == int(written)
    folders = host.check_output("find /srv -mindepth 2 -maxdepth 2 -type d -name secrets").split()
    assert folders
    # auditctl shows a folder's rule as the watch that it is.
    assert [folder for folder in folders if f"-w {folder} -p wa -k secrets" not in loaded] == []


@pytest.mark.vm
def test_a_change_of_an_account_stands_in_the_audit_trail(host):
    host.check_output("touch /etc/passwd")
    # Without a terminal, ausearch would read its input instead of the trail.
    told = host.check_output("ausearch --input-logs --key identity --start recent --format text")
    assert "/etc/passwd using /usr/bin/touch" in told


def test_the_rules_of_the_audit_trail_are_set_at_boot(host, options):
    rules = host.check_output("cat /etc/audit/rules.d/*hangar*.rules")
    for key in (
        "scope",
        "identity",
        "access",
        "secrets",
        "privileged",
        "time",
        "rights",
        "mounts",
        "modules",
    ):
        assert f"key={key}" in rules, key
    assert options["hardening_audit_secret_folders"]
    for folder in options["hardening_audit_secret_folders"]:
        assert f"-F dir={folder} -F perm=wa" in rules, folder
    assert rules.rstrip().endswith("-e 2")
    assert host.run("systemctl is-enabled auditd.service").stdout.strip() == "enabled"


def test_the_audit_trail_does_not_fill_the_disk(host, options):
    """The audit trail does not fill the disk, and root alone reads it"""
    settings = dict(
        line.split(" = ")
        for line in host.file("/etc/audit/auditd.conf").content_string.splitlines()
        if " = " in line
    )
    assert (
        int(settings["num_logs"]) * int(settings["max_log_file"]) <= options["hardening_audit_log_megabytes"]
    )
    assert settings["max_log_file_action"] == "ROTATE"
    assert host.file("/etc/audit").mode == 0o750
    assert host.file("/var/log/audit").mode & 0o027 == 0
    assert host.check_output("find /var/log/audit -type f -perm /0137") == ""


@pytest.mark.vm
def test_it_is_counted_which_programs_ran(host):
    assert host.service("acct").is_running
    # What begins a new file every day looks every hour.
    host.check_output("systemctl start hangar-accounting.service")
    before = int(host.check_output("lastcomm true | wc -l"))
    host.check_output("/bin/true")
    assert int(host.check_output("lastcomm true | wc -l")) > before


def test_a_changed_file_of_the_system_is_noticed(host):
    told = host.check_output(COMPARE).splitlines()
    assert told[0] == "unchanged"
    assert told[1].endswith("watched/file")


def test_the_files_of_the_system_are_compared_every_day(host, options):
    """The files of the system are compared every day, and nobody but root can change what they are compared with"""
    shown = host.check_output("systemctl show hangar-integrity.timer --property ActiveState,TimersCalendar")
    assert "ActiveState=active" in shown
    assert "OnCalendar=" in shown
    assert host.file("/var/lib/hangar/integrity").mode == 0o700
    # What Debian makes anew for a kernel is noted after all others have done their part.
    for folder in ("kernel/postinst.d", "kernel/postrm.d", "initramfs/post-update.d"):
        hooks = host.check_output(f"run-parts --test /etc/{folder}").splitlines()
        assert hooks[-1] == f"/etc/{folder}/zzz-hangar-integrity"
    watched = host.check_output("cat /etc/aide/aide.conf")
    assert [
        path for path in options["hardening_audit_integrity_paths"] if f"\n{path} Whole" not in watched
    ] == []


def test_a_copy_of_the_journal_is_sent_where_it_is_wanted(host, options):
    """The journal is copied elsewhere where that is wanted, and nowhere otherwise"""
    if not options["hardening_audit_forward_to"]:
        assert host.run("systemctl is-active systemd-journal-upload.service").stdout.strip() != "active"
        return
    if options["hardening_audit_forward_certificate"]:
        assert host.file(KEY).exists, f"the certificate's key is not there: {PUT}"
    line = f"a line for elsewhere, {uuid.uuid4()}"
    host.check_output(f"echo {line} | systemd-cat --identifier=hangar-forwarding && journalctl --sync")
    assert host.run(f"timeout 90 sh -c '{TAKEN}' taken '{line}'").rc == 0, "the receiver took no line"
