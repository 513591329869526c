"""What the kernel refuses; by trying it where that is possible."""

import errno

import pytest
import yaml

from hangar.controls import LEFT_OPEN
from hangar.paths import REPO
from hangar.promises import control_of

UNITS = ("systemd-sysctl.service",)

SHARED = "net."
"""Parameters of the network belong to the machine even where the kernel is another's."""
NOT_SHARED = "net.core.bpf_"
"""These belong to the kernel alone, which shows them in no other name space of the network."""

ALL = ".conf.all."
"""What the network is told of all interfaces; the kernel asks each interface as well."""

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


TABLES = yaml.safe_load((REPO / "roles/hardening_kernel/vars/main.yml").read_text())
PARAMETERS = TABLES["__hardening_kernel_table"]
MODULES = TABLES["__hardening_kernel_modules"]
BOOT = TABLES["__hardening_kernel_boot"]


def each(controls):
    """A case for each control, so that each has a verdict of its own."""
    return pytest.mark.parametrize("control", list(controls))


def is_of_the_network(name):
    return name.startswith(SHARED) and not name.startswith(NOT_SHARED)


def of_the_network(parameters):
    return {name: value for name, value in parameters.items() if is_of_the_network(name)}


def of_the_kernel(parameters):
    return {name: value for name, value in parameters.items() if not is_of_the_network(name)}


@pytest.fixture(autouse=True)
def applied(request, options):
    """Ends a case whose control the role leaves out. An exception of platform.yml has its own words."""
    if control_of(request.node) in options["hardening_kernel_off"]:
        pytest.skip(f"{LEFT_OPEN}named in hardening_kernel_off")


@pytest.fixture(scope="module")
def further(options):
    """The parameters that the settings add; they have the last word."""
    return {name: str(value) for name, value in options["hardening_kernel_parameters"].items()}


@pytest.fixture(scope="module")
def wanted(options, further):
    """The parameters that are to be in force, by control."""
    return {
        control: {name: further.get(name, str(value)) for name, value in parameters.items()}
        for control, parameters in PARAMETERS.items()
        if control not in options["hardening_kernel_off"]
    }


@pytest.fixture(scope="module")
def modules(options):
    """The modules that are to be closed, by control."""
    allowed = options["hardening_kernel_modules_allowed"]
    return {
        control: [name for name in names if name not in allowed]
        for control, names in MODULES.items()
        if control not in options["hardening_kernel_off"]
    }


def in_force(host, names):
    """The value of each parameter; one that this kernel does not have is left out."""
    told = host.run(f"sysctl --ignore {' '.join(names)}").stdout
    return {name: value.strip() for name, _, value in (line.partition(" = ") for line in told.splitlines())}


def differing(host, parameters):
    found = in_force(host, parameters) if parameters else {}
    assert found or not parameters, "no parameter could be read"
    return {name: found[name] for name, value in parameters.items() if name in found and found[name] != value}


@each(control for control, parameters in PARAMETERS.items() if of_the_network(parameters))
def test_the_network_parameters_are_in_force(host, wanted, control):
    """The network's parameters are in force"""
    assert differing(host, of_the_network(wanted[control])) == {}


@each(control for control, parameters in PARAMETERS.items() if any(ALL in name for name in parameters))
def test_no_interface_has_looser_parameters_of_its_own(host, wanted, further, control):
    """No interface has looser parameters of its own"""
    parameters = {name: value for name, value in wanted[control].items() if ALL in name}
    places = {f"/proc/sys/{name.replace('.', '/').replace('/all/', '/*/')}": name for name in parameters}
    told = host.run(f"grep --no-messages --with-filename '' {' '.join(places)}").stdout.splitlines()
    found = dict(line.rsplit(":", 1) for line in told)
    assert found, "no interface could be read"
    looser = {}
    for path, value in found.items():
        *folder, interface, last = path.split("/")
        pattern = "/".join([*folder, "*", last])
        own = places[pattern].replace(".all.", f".{interface.replace('.', '/')}.")
        if value != further.get(own, parameters[places[pattern]]):
            looser[path] = value
    assert looser == {}


@pytest.mark.vm
@each(control for control, parameters in PARAMETERS.items() if of_the_kernel(parameters))
def test_the_parameters_of_the_kernel_are_in_force(host, wanted, control):
    """The kernel's parameters are in force"""
    assert differing(host, of_the_kernel(wanted[control])) == {}


def test_programs_have_addresses_of_64_bits(host):
    """Programs have addresses of 64 bits, so that there is room to lay them out in"""
    assert host.check_output("getconf LONG_BIT") == "64"
    assert host.check_output("dpkg --print-architecture") in ("amd64", "arm64")


def test_further_parameters_of_the_network_are_in_force(host, further):
    """What the settings add to the network's parameters is in force"""
    assert differing(host, of_the_network(further)) == {}


@pytest.mark.vm
def test_further_parameters_of_the_kernel_are_in_force(host, further):
    """What the settings add to the kernel's parameters is in force"""
    assert differing(host, of_the_kernel(further)) == {}


@pytest.mark.vm
def test_a_user_cannot_look_into_the_process_of_another(host):
    """Nobody looks into a process that is not a child of their own, be it of the same account; debuggers still work"""
    refused = str(errno.EPERM)
    assert host.check_output(TRACE).split() == [refused, "0"]


def test_what_is_set_now_is_set_at_boot(host, wanted, further):
    """The kernel's parameters are set again at every start"""
    told = host.check_output("systemd-analyze cat-config sysctl.d")
    whole = {name: value for parameters in wanted.values() for name, value in parameters.items()} | further
    missing = [name for name, value in whole.items() if f"-{name} = {value}" not in told]
    assert missing == []


@each(MODULES)
def test_modules_that_the_machine_does_not_need_cannot_be_loaded(host, modules, control):
    """Modules that the machine does not need cannot be loaded"""
    closed = modules[control]
    told = host.check_output("cat /etc/modprobe.d/hangar-hardening.conf").splitlines()
    assert [name for name in closed if f"install {name} /bin/false" not in told] == []
    assert [name for name in closed if f"blacklist {name}" not in told] == []
    assert [name for name in closed if f"softdep {name} pre:" not in told] == []


@pytest.mark.vm
@each(MODULES)
def test_a_closed_module_stays_out_even_for_root(host, attempt, modules, control):
    closed = modules[control]
    tried = attempt({name: f"modprobe {name}" for name in closed})
    assert [name for name, status in tried.items() if status == 0] == []
    loaded = {line.split()[0] for line in host.check_output("cat /proc/modules").splitlines()}
    assert loaded.isdisjoint(name.replace("-", "_") for name in closed)


def test_a_program_that_dies_leaves_no_memory_on_disk(host, client):
    """A program that dies leaves no memory on disk: neither a person's nor a service's"""
    assert client.ssh(command="ulimit -Hc").stdout.strip() == "0"
    assert host.check_output("systemctl show --property DefaultLimitCORE --value") == "0"


def test_a_handler_of_dumps_that_is_installed_later_keeps_none(host):
    """A handler of core dumps that somebody installs (systemd-coredump) keeps none"""
    told = host.check_output("systemd-analyze cat-config systemd/coredump.conf").splitlines()
    # Of a name that stands there twice the last counts.
    found = dict(line.split("=", 1) for line in told if "=" in line and not line.startswith("#"))
    assert (found.get("Storage"), found.get("ProcessSizeMax")) == ("none", "0")


@pytest.fixture
def started(host):
    """What the kernel was started with."""
    written, born = map(int, host.check_output(f"stat --format %Y {LOADER}; {BORN}").split())
    if written > born:
        pytest.skip("counts from the machine's next start: ./provision.py ssh ENV sudo reboot")
    return host.check_output("cat /proc/cmdline").split()


@pytest.mark.vm
@each(BOOT)
def test_the_kernel_is_started_with_its_defences(started, control):
    """The kernel was started with its defences"""
    assert [word for word in BOOT[control] if word not in started] == []


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
