#!/usr/bin/env python3
"""Runs a program in what a unit file leaves it, as systemd would, on machines where that is not process 1.

    sandbox.py UNIT FOLDER PROGRAM ARGUMENT...

FOLDER/run, FOLDER/state and FOLDER/etc become the directories of the unit below /run, /var/lib and /etc. FOLDER/report
gets what was made of each directive, in JSON. Namespaces need root, or user namespaces that anybody may make; where
there are neither, the report says so and the rest is applied. A directive that is unknown here is a mistake: somebody
has to decide.
"""

import ctypes
import errno
import functools
import json
import os
import pwd
import re
import resource
import socket
import stat
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)

BY_MANAGER = "what the manager does with the process from outside"
NOT_APPLIED = {
    "Type": BY_MANAGER, "ExecStart": "the program is an argument", "ExecReload": BY_MANAGER, "RuntimeDirectoryPreserve": BY_MANAGER,
    "Restart": BY_MANAGER, "RestartSec": BY_MANAGER, "RestartPreventExitStatus": BY_MANAGER, "TimeoutStopSec": BY_MANAGER,
    "RemoveIPC": BY_MANAGER,
}

# The directives that are applied by each step, in the order of the steps.
LIMITS = ["LimitNOFILE", "WatchdogSec"]
NAMESPACES = ["PrivateMounts", "RuntimeDirectory", "RuntimeDirectoryMode", "StateDirectory", "StateDirectoryMode", "ConfigurationDirectory",
              "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectControlGroups", "ProtectProc", "ProcSubset", "LoadCredential"]
PRIVILEGES = ["KeyringMode", "CapabilityBoundingSet", "AmbientCapabilities", "User", "Group", "NoNewPrivileges", "UMask"]
FILTERS = ["SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures", "RestrictAddressFamilies", "RestrictNamespaces",
           "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "ProtectClock", "ProtectHostname",
           "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"]
# With what value each is known here, where another would be applied in another way.
VALUES = {"ProtectSystem": "strict", "ProtectProc": "invisible", "ProcSubset": "pid", "KeyringMode": "private", "CapabilityBoundingSet": "",
          "AmbientCapabilities": "", "SystemCallArchitectures": "native", "SystemCallErrorNumber": "EPERM"}


def unit_directives(path):
    """The directives of the section Service: {name: [value, ...]}."""
    found, section = {}, ""
    with open(path, encoding="utf-8") as file:
        for line in file.read().replace("\\\n", " ").splitlines():
            if line.startswith("["):
                section = line.strip()
            elif section == "[Service]" and re.match(r"\w+=", line):
                name, _, value = line.partition("=")
                found.setdefault(name, []).append(value.strip())
    return found


def undecided(directives):
    """What is unknown here, of names and values."""
    known = set(NOT_APPLIED) | set(LIMITS + NAMESPACES + PRIVILEGES + FILTERS)
    unknown = sorted(set(directives) - known)
    for name in set(directives) & set(NAMESPACES + PRIVILEGES + FILTERS):
        wanted = VALUES.get(name, "yes" if re.match("Private|Protect|Restrict(?!Address)|Lock|Memory|NoNew", name) else None)
        if wanted is not None and directives[name] != [wanted]:
            unknown.append("%s=%s" % (name, directives[name]))
    return unknown


def check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


# Namespaces and mounts ----------------------------------------------------------------------------------------

NEWNS, NEWUTS, NEWUSER = 0x20000, 0x4000000, 0x10000000
RDONLY, NOSUID, NODEV, NOEXEC, BIND, REC, SLAVE = 1, 2, 4, 8, 0x1000, 0x4000, 0x80000
SYS_MOUNT_SETATTR = 442     # the same on all architectures
AT_RECURSIVE = 0x8000


def mount(source, target, kind=None, flags=0, data=None):
    check(libc.mount(*(None if s is None else os.fsencode(s) for s in (source, target, kind)), ctypes.c_ulong(flags),
                     None if data is None else data.encode()), "mount on " + target)


def set_read_only(path, on, flags=AT_RECURSIVE):
    attributes = (ctypes.c_uint64 * 4)(1 if on else 0, 0 if on else 1, 0, 0)
    check(libc.syscall(SYS_MOUNT_SETATTR, -100, path.encode(), flags, attributes, ctypes.sizeof(attributes)), "mount_setattr of " + path)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def unshare(flags):
    """As root, or else in a user namespace in which the user stays who he is. Returns whether it was as root."""
    if libc.unshare(ctypes.c_int(flags)) == 0:
        return True
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(ctypes.c_int(flags | NEWUSER)), "unshare")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", "%d %d 1" % (uid, uid))
    write("/proc/self/gid_map", "%d %d 1" % (gid, gid))
    return False


def bind(source, target, folder):
    if folder:
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    mount(source, target, flags=BIND | REC)


def shadow(path, mode=0o755):
    """Covers PATH with a directory that has the same in it, and that more can be put into."""
    below = os.open(path, os.O_PATH | os.O_DIRECTORY)
    names = sorted(os.listdir(path))
    mount("tmpfs", path, "tmpfs", NOSUID | NODEV, "mode=%o" % mode)
    for name in names:
        source, target = "/proc/self/fd/%d/%s" % (below, name), os.path.join(path, name)
        kind = os.stat(name, dir_fd=below, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            os.symlink(os.readlink(name, dir_fd=below), target)
        elif stat.S_ISDIR(kind) or stat.S_ISREG(kind):
            bind(source, target, stat.S_ISDIR(kind))
    os.close(below)


def place_directories(directives, folder, owner):
    """Returns those that the service may write to, and their variables for the service."""
    writable, variables = [], {}
    for kind, above, own in (("Runtime", "/run", "run"), ("State", "/var/lib", "state"), ("Configuration", "/etc", "etc")):
        name = directives.get(kind + "Directory", [""])[0]
        if not name:
            continue
        source, target = os.path.join(folder, own), os.path.join(above, name)
        os.makedirs(source, exist_ok=True)
        shadow(above)
        if os.path.lexists(target):
            mount(source, target, flags=BIND)
        else:
            bind(source, target, True)
        if kind != "Configuration":
            if owner:
                os.chown(source, *owner)
            os.chmod(source, int(directives.get(kind + "DirectoryMode", ["0755"])[0], 8))
            writable.append(target)
        variables[kind.upper() + "_DIRECTORY"] = target
    return writable, variables


def place_credentials(directives, target, etc, owner):
    """What LoadCredential= names, read with the powers of the manager, is in TARGET for the service alone. ETC: its /etc/esbridge."""
    if "LoadCredential" not in directives:
        return {}
    os.makedirs(target, exist_ok=True)
    for value in directives["LoadCredential"]:
        name, _, path = value.partition(":")
        with open(path.replace("/etc/esbridge", etc), "rb") as source, open(os.path.join(target, name), "wb") as copy:
            copy.write(source.read())
            os.fchmod(copy.fileno(), 0o400)
            if owner:
                os.fchown(copy.fileno(), *owner)
    if owner:
        os.chown(target, *owner)
    os.chmod(target, 0o500)
    return {"CREDENTIALS_DIRECTORY": target}


def make_devices():
    """/dev with nothing in it that reaches a device."""
    nodes = {name: os.open("/dev/" + name, os.O_PATH) for name in ("null", "zero", "full", "random", "urandom", "tty")}
    mount("tmpfs", "/dev", "tmpfs", NOSUID | NOEXEC, "mode=755")
    for name, fd in nodes.items():
        bind("/proc/self/fd/%d" % fd, "/dev/" + name, False)
        os.close(fd)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, "/dev/" + name)


def hide_homes():
    for path in ("/home", "/root", "/run/user"):
        if os.path.isdir(path):
            mount("tmpfs", path, "tmpfs", NOSUID | NODEV | RDONLY, "mode=0")


def make_mounts(directives, folder, owner):
    writable, variables = place_directories(directives, folder, owner)
    variables.update(place_credentials(directives, "/run/credentials/esbridged.service", "/etc/esbridge", owner))
    set_read_only("/", True)
    for path in writable:
        set_read_only(path, False)
    for path in ("/tmp", "/var/tmp"):
        mount("tmpfs", path, "tmpfs", NOSUID | NODEV, "mode=1777")
    hide_homes()
    make_devices()
    return variables


def enter_namespaces(directives, folder, owner, report):
    """Returns the variables of the directories."""
    try:
        root = unshare(NEWNS | NEWUTS)
        mount(None, "/", flags=REC | SLAVE)     # fails where a user namespace gives no power over mounts
    except OSError as fault:
        for name in NAMESPACES:
            report[name] = "no namespaces on this machine: %s" % fault
        return place_credentials(directives, os.path.join(folder, "credentials"), os.path.join(folder, "etc"), owner)
    variables = make_mounts(directives, folder, owner if root else None)
    try:
        mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC, "hidepid=invisible,subset=pid")
    except OSError as fault:    # in a user namespace
        for name in ("ProtectProc", "ProcSubset"):
            report[name] = "no proc of one's own on this machine: %s" % fault
    return variables


# Filters of system calls --------------------------------------------------------------------------------------

ALLOW, ERRNO = 0x7fff0000, 0x00050000
EQ, NE, GT, MASKED = 4, 1, 6, 7
NAMESPACE_FLAGS = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("one", ctypes.c_uint64), ("two", ctypes.c_uint64)]


class Filter:
    """One filter of libseccomp, which is part of what systemd itself runs with."""

    library = None

    def __init__(self, default=ALLOW):
        if Filter.library is None:
            Filter.library = ctypes.CDLL("libseccomp.so.2")
            Filter.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(Filter.library.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action, name, *comparisons):
        number = Filter.library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return  # one that this library does not know
        array = (Comparison * max(len(comparisons), 1))(*comparisons)
        result = Filter.library.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(comparisons), array)
        if result not in (0, -errno.EDOM):  # EDOM: not on this architecture
            raise OSError(-result, "seccomp_rule_add of " + name)

    def forbid(self, *names, number=errno.EPERM):
        for name in names:
            self.rule(ERRNO | number, name)
        return self

    def forbid_if(self, name, argument, operator, one, two=0, number=errno.EPERM):
        self.rule(ERRNO | number, name, Comparison(argument, operator, one, two))

    def load(self):
        result = Filter.library.seccomp_load(self.context)
        if result != 0:
            raise OSError(-result, "seccomp_load")


@functools.cache
def call_sets():
    """The sets of system calls that systemd has: {"@name": [what is in it]}."""
    done = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True,
                          env=dict(os.environ, SYSTEMD_COLORS="0", SYSTEMD_PAGER="cat"))
    sets, words = {}, []
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            words = sets[line.strip()] = []
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            words.append(line.strip())
    return sets


def calls_of(name):
    """The system calls of a set, or NAME itself."""
    return set().union(*(calls_of(word) for word in call_sets()[name])) if name.startswith("@") else {name}


def allowed_calls(values):
    allowed = calls_of("@default")
    for value in values:
        out = value.startswith("~")
        for name in value.lstrip("~").split():
            allowed = allowed - calls_of(name) if out else allowed | calls_of(name)
    return allowed


def filter_calls(values):
    listed = Filter(ERRNO | errno.EPERM)
    for name in sorted(allowed_calls(values)):
        listed.rule(ALLOW, name)
    return listed


def filter_families(families):
    out = Filter()
    numbers = {getattr(socket, name) for name in families}
    for number in range(48):
        if number not in numbers:
            out.forbid_if("socket", 0, EQ, number, number=errno.EAFNOSUPPORT)
    out.forbid_if("socket", 0, GT, 47, number=errno.EAFNOSUPPORT)
    return out


def filter_namespaces():
    out = Filter().forbid("clone3", number=errno.ENOSYS)
    for flag in NAMESPACE_FLAGS:
        for name, argument in (("unshare", 0), ("clone", 0), ("setns", 1)):
            out.forbid_if(name, argument, MASKED, flag, flag)
    out.forbid_if("setns", 1, EQ, 0)
    return out


def filter_memory():
    out = Filter()
    out.forbid_if("mmap", 2, MASKED, 6, 6)
    for name in ("mprotect", "pkey_mprotect"):
        out.forbid_if(name, 2, MASKED, 4, 4)
    out.forbid_if("shmat", 2, MASKED, 0o100000, 0o100000)
    return out


def filter_modes():
    out = Filter().forbid("openat2", number=errno.ENOSYS)
    for bit in (stat.S_ISUID, stat.S_ISGID):
        for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("mkdir", 1), ("mkdirat", 2), ("mknod", 1),
                               ("mknodat", 2), ("creat", 1)):
            out.forbid_if(name, argument, MASKED, bit, bit)
        for name, argument in (("open", 1), ("openat", 2)):
            out.rule(ERRNO | errno.EPERM, name, Comparison(argument, MASKED, os.O_CREAT, os.O_CREAT),
                     Comparison(argument + 1, MASKED, bit, bit))
    return out


def filter_realtime():
    out = Filter()
    for policy in (os.SCHED_FIFO, os.SCHED_RR, 6):
        out.forbid_if("sched_setscheduler", 1, EQ, policy)
    return out


def filter_personality():
    out = Filter()
    out.forbid_if("personality", 0, NE, libc.personality(ctypes.c_ulong(0xffffffff)))
    return out


def make_filters(directives):
    """Made while it is still allowed to ask systemd-analyze."""
    makers = {
        "RestrictAddressFamilies": lambda: filter_families(directives["RestrictAddressFamilies"][0].split()),
        "RestrictNamespaces": filter_namespaces, "RestrictRealtime": filter_realtime, "RestrictSUIDSGID": filter_modes,
        "LockPersonality": filter_personality, "MemoryDenyWriteExecute": filter_memory,
        "ProtectClock": lambda: Filter().forbid("adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "settimeofday"),
        "ProtectHostname": lambda: Filter().forbid("sethostname", "setdomainname"),
        "ProtectKernelLogs": lambda: Filter().forbid("syslog"),
        "ProtectKernelModules": lambda: Filter().forbid("init_module", "finit_module", "delete_module"),
        "ProtectKernelTunables": lambda: Filter().forbid("_sysctl"),
        "PrivateDevices": lambda: Filter().forbid(*sorted(calls_of("@raw-io"))),
        # The last, since it forbids further filters.
        "SystemCallFilter": lambda: filter_calls(directives["SystemCallFilter"]),
    }
    return [make() for name, make in makers.items() if name in directives]


# Privileges ---------------------------------------------------------------------------------------------------

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 24, 47, 4


def prctl(option, *arguments):
    return libc.prctl(option, *(ctypes.c_ulong(a) for a in list(arguments) + [0] * (4 - len(arguments))))


def owner_of(directives):
    """Who the service runs as: its user where the machine has it, else nobody."""
    for name in (directives.get("User", ["nobody"])[0], "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
        except KeyError:
            pass
    return 65534, 65534


def drop_privileges(directives, owner, report):
    number = Filter.library.seccomp_syscall_resolve_name(b"keyctl")
    libc.syscall(number, 1, None)   # a session keyring of its own, on kernels that have any
    capability = 0
    while prctl(PR_CAPBSET_DROP, capability) == 0:
        capability += 1
    if capability < 32:
        report["CapabilityBoundingSet"] = "not root"
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if os.getuid() == 0:
        try:
            os.setgroups([])
            os.setgid(owner[1])
            os.setuid(owner[0])
        except OSError as fault:
            report["User"] = report["Group"] = "root of a user namespace has no other user: %s" % fault
    else:
        report["User"] = report["Group"] = "not root: it runs as whoever runs this"
    check(prctl(PR_SET_NO_NEW_PRIVS, 1), "no_new_privs")
    os.umask(int(directives["UMask"][0], 8))


def set_limits(directives, report):
    wanted = int(directives["LimitNOFILE"][0])
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except ValueError:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        report["LimitNOFILE"] = "no more than %d on this machine" % hard
    return {"WATCHDOG_USEC": "%d" % (int(directives["WatchdogSec"][0]) * 1000000), "WATCHDOG_PID": "%d" % os.getpid()}


def main():
    unit, folder, *command = sys.argv[1:]
    directives = unit_directives(unit)
    unknown = undecided(directives)
    if unknown:
        sys.exit("sandbox.py: nobody has decided what is to be made of %s" % ", ".join(unknown))
    report = {name: NOT_APPLIED.get(name, "applied") for name in directives}
    filters = make_filters(directives)
    owner = owner_of(directives) if os.getuid() == 0 else None
    program = os.open(command[0], os.O_RDONLY)     # wherever it is, it may be out of sight later
    report_file = os.open(os.path.join(folder, "report"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    env = dict(os.environ, **set_limits(directives, report))
    env.update(enter_namespaces(directives, folder, owner, report))
    os.chdir("/")
    drop_privileges(directives, owner, report)
    os.write(report_file, json.dumps(report).encode())
    os.set_inheritable(program, True)      # or an interpreter cannot be given the script
    for each in filters:
        each.load()
    os.execve(program, command, env)


if __name__ == "__main__":
    main()
