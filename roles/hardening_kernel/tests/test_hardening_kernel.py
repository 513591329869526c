"""What the kernel refuses; by trying it where that is possible."""

import errno

import pytest
import yaml

from hangar.paths import REPO

UNITS = ("systemd-sysctl.service",)

SHARED = "net."
"""Parameters of the network belong to the machine even where the kernel is another's."""

LOADER = "/etc/default/grub.d/50-hangar-hardening.cfg"
BORN = "awk '$1 == \"btime\" {print $2}' /proc/stat"
"""Since when this kernel runs, in seconds like the time of a file."""

ATTACH = """
import ctypes, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
own = subprocess.Popen(['sleep', '60'])
done = libc.ptrace(16, int(sys.argv[1]) or own.pid, None, None)
own.kill()
sys.exit(0 if done == 0 else ctypes.get_errno())
"""
"""Attaches to a process, or (0) to one that it has started itself; ends with the kernel's error."""

TRACE = f"""
as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
$as sleep 60 >/dev/null 2>&1 & other=$!
until grep --quiet --line-regexp sleep /proc/$other/comm; do :; done
$as python3 -c "{ATTACH}" $other; echo $?
$as python3 -c "{ATTACH}" 0; echo $?
kill -KILL $other
"""
"""Three processes of one account. While the first is still root's program, attaching to it would prove nothing. Where
it was attached to, it may be left stopped, and would answer no other signal than KILL.
"""


@pytest.fixture(scope="module")
def wanted(options):
    """The parameters that are to be in force."""
    table = yaml.safe_load((REPO / "roles/hardening_kernel/vars/main.yml").read_text())[
        "__hardening_kernel_table"
    ]
    found = {}
    for control, parameters in table.items():
        if control not in options["hardening_kernel_off"]:
            found |= parameters
    return {name: str(value) for name, value in {**found, **options["hardening_kernel_parameters"]}.items()}


@pytest.fixture(scope="module")
def modules(options):
    table = yaml.safe_load((REPO / "roles/hardening_kernel/vars/main.yml").read_text())[
        "__hardening_kernel_modules"
    ]
    closed = [
        name
        for control, names in table.items()
        if control not in options["hardening_kernel_off"]
        for name in names
    ]
    return [name for name in closed if name not in options["hardening_kernel_modules_allowed"]]


def in_force(host, names):
    """The value of each parameter; one that this kernel does not have is left out."""
    told = host.run(f"sysctl --ignore {' '.join(names)}").stdout
    return {name: value.strip() for name, _, value in (line.partition(" = ") for line in told.splitlines())}


def differing(host, parameters):
    found = in_force(host, parameters)
    assert found, "no parameter could be read"
    return {name: found[name] for name, value in parameters.items() if name in found and found[name] != value}


def test_the_network_parameters_are_in_force(host, wanted):
    """The network's parameters are in force: no routing, no redirects, no spoofed sender"""
    ours = {name: value for name, value in wanted.items() if name.startswith(SHARED)}
    assert differing(host, ours) == {}


@pytest.mark.vm
def test_the_kernel_hides_itself(host, wanted):
    """The kernel hides its addresses, closes its rare entries and gives no process to a stranger"""
    ours = {name: value for name, value in wanted.items() if not name.startswith(SHARED)}
    assert differing(host, ours) == {}


@pytest.mark.vm
def test_a_user_cannot_look_into_the_process_of_another(host):
    """Nobody looks into a process that is not a child of their own, be it of the same account; debuggers still work"""
    refused = str(errno.EPERM)
    assert host.check_output(TRACE).split() == [refused, "0"]


def test_what_is_set_now_is_set_at_boot(host, wanted):
    """The kernel's parameters are set again at every start"""
    told = host.check_output("systemd-analyze cat-config sysctl.d")
    missing = [name for name, value in wanted.items() if f"-{name} = {value}" not in told]
    assert missing == []


def test_modules_that_the_machine_does_not_need_cannot_be_loaded(host, modules):
    """Modules for USB storage, rare file systems and protocols cannot be loaded"""
    assert modules
    told = host.check_output("cat /etc/modprobe.d/hangar-hardening.conf").splitlines()
    assert [name for name in modules if f"install {name} /bin/false" not in told] == []
    assert [name for name in modules if f"blacklist {name}" not in told] == []
    assert [name for name in modules if f"softdep {name} pre:" not in told] == []


@pytest.mark.vm
def test_a_closed_module_stays_out_even_for_root(host, attempt, modules):
    tried = attempt({name: f"modprobe {name}" for name in modules})
    assert [name for name, status in tried.items() if status == 0] == []
    loaded = {line.split()[0] for line in host.check_output("cat /proc/modules").splitlines()}
    assert loaded.isdisjoint(name.replace("-", "_") for name in modules)


def test_a_program_that_dies_leaves_no_memory_on_disk(host, client):
    """A program that dies leaves no memory on disk: neither a person's nor a service's"""
    assert client.ssh(command="ulimit -Hc").stdout.strip() == "0"
    assert host.check_output("systemctl show --property DefaultLimitCORE --value") == "0"


@pytest.fixture
def started(host, options):
    """What the kernel was started with, and what it should be by those controls that are not left open."""
    table = yaml.safe_load((REPO / "roles/hardening_kernel/vars/main.yml").read_text())[
        "__hardening_kernel_boot"
    ]
    written, born = map(int, host.check_output(f"stat --format %Y {LOADER}; {BORN}").split())
    if written > born:
        pytest.skip("counts from the machine's next start: ./provision.py ssh ENV sudo reboot")
    wanted = {name: words for name, words in table.items() if name not in options["hardening_kernel_off"]}
    return host.check_output("cat /proc/cmdline").split(), wanted


@pytest.mark.vm
def test_the_kernel_is_started_with_its_defences(started):
    """The kernel was started with its defences: memory wiped and shuffled, auditing on from the first process"""
    told, wanted = started
    assert {name: words for name, words in wanted.items() if not set(words) <= set(told)} == {}


@pytest.mark.vm
def test_not_even_root_changes_the_running_kernel(host, started):
    """Not even root looks into the running kernel or loads one into it that nobody signed"""
    assert "[integrity]" in host.check_output("cat /sys/kernel/security/lockdown")
    assert host.run("head --bytes=1 /dev/mem").rc != 0


@pytest.mark.vm
def test_apparmor_has_profiles_in_force(host, started):
    """AppArmor is the kernel's access control, and has profiles in force"""
    assert host.check_output("cat /sys/module/apparmor/parameters/enabled") == "Y"
    enforced = [
        line
        for line in host.check_output("cat /sys/kernel/security/apparmor/profiles").splitlines()
        if line.endswith("(enforce)")
    ]
    assert enforced


def test_a_container_reaches_the_outside(host, options):
    """Containers reach the outside in spite of all this"""
    user = options["service_users_accounts"][0]["name"]
    probe = f"as-service {user} test -S /run/user/{options['service_users_accounts'][0]['uid']}/docker.sock"
    if host.run(probe).rc != 0:
        pytest.skip("this machine has no containers")
    daemon = host.check_output(f"pgrep --uid {user} --exact dockerd")
    # The daemon's own network, which its containers go through, with the names and the authorities that it sees.
    inside = f"nsenter --target {daemon} --net --user --mount --preserve-credentials --"
    file = f"{options['base_debian_mirror']}/dists/{options['base_debian_suite']}/InRelease"
    answer = f"curl --silent --output /dev/null --max-time 15 {file}"
    assert host.run(f"{inside} {answer}").rc == 0, "the daemon's network has no way out"
    assert host.check_output(f"{inside} sysctl -n net.ipv4.ip_forward") == "1"
