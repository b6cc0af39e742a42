#!/usr/bin/env python3
"""Tries what a sandbox forbids, and a little that it must not. Prints {what: "done", or the name of the error} in JSON."""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), name)


def seen(path):
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, path)


def create(folder):
    name = os.path.join(folder, "probe-%d" % os.getpid())
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(name)


def set_user_id(folder):
    name = os.path.join(folder, "probe-suid-%d" % os.getpid())
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.chmod(name, 0o4700)
    finally:
        os.unlink(name)


def as_executable():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def made_executable():
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))
    call("mprotect", ctypes.c_void_p(at), ctypes.c_size_t(4096), 5)


def family(number, kind=socket.SOCK_STREAM):
    socket.socket(number, kind).close()


class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def in_child(attempt):
    """What cannot be undone."""
    child = os.fork()
    if child == 0:
        try:
            attempt()
            os._exit(0)
        except OSError as fault:
            os._exit(fault.errno)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))


def set_clock():
    now = Time()
    call("clock_gettime", 0, ctypes.byref(now))
    call("clock_settime", 0, ctypes.byref(now))


def probes(runtime, state):
    return {
        # What has to go
        "create in /etc": lambda: create("/etc"), "create in /usr": lambda: create("/usr"), "create in /var/lib": lambda: create("/var/lib"),
        "create in /run": lambda: create("/run"), "list /root": lambda: os.listdir("/root"), "list /home": lambda: os.listdir("/home"),
        "see what is in /tmp": lambda: seen(sys.argv[3]), "see /proc/1": lambda: seen("/proc/1"), "see /proc/sys": lambda: seen("/proc/sys"),
        "see /dev/kmsg": lambda: seen("/dev/kmsg"), "write to /sys": lambda: os.close(os.open("/sys/kernel/profiling", os.O_WRONLY)),
        "packets": lambda: family(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda: family(socket.AF_NETLINK, socket.SOCK_RAW), "vsock": lambda: family(40), "family 99": lambda: family(99),
        "a user namespace": lambda: in_child(lambda: call("unshare", 0x10000000)), "mount": lambda: call("mount", None, b"/tmp", None, 0x1000, None),
        "chroot": lambda: os.chroot("/"), "set-user-ID": lambda: set_user_id(state), "chown": lambda: os.chown(state, os.getuid(), os.getgid()),
        "setuid": lambda: os.setuid(os.getuid()), "memory that is written and run": as_executable, "memory that becomes executable": made_executable,
        "another personality": lambda: call("personality", ctypes.c_ulong(0x0040000)), "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
        "a processor of one's choice": lambda: os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))}),
        "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)), "set the clock": set_clock,
        "set the host's name": lambda: socket.sethostname(socket.gethostname()), "read the kernel's log": lambda: call("klogctl", 10, None, 0),
        "load a module": lambda: call("init_module", None, ctypes.c_ulong(0), b""),
        "trace": lambda: call("ptrace", 0x4206, 0, None, None), "swap": lambda: call("swapoff", b"/nowhere"), "ports": lambda: call("iopl", 0),
        "an event queue of fanotify": lambda: call("fanotify_init", 0, 0),
        # What has to stay
        "create in the runtime directory": lambda: create(runtime), "create in the state directory": lambda: create(state),
        "create in /tmp": lambda: create("/tmp"), "internet": lambda: family(socket.AF_INET), "internet 6": lambda: family(socket.AF_INET6),
        "unix": lambda: family(socket.AF_UNIX), "chance": lambda: open("/dev/urandom", "rb").read(1), "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    }


def status():
    """What the kernel says of the process itself."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    mask = os.umask(0)
    os.umask(mask)
    return {"NoNewPrivs": lines["NoNewPrivs"], "Seccomp": lines["Seccomp"], "CapEff": int(lines["CapEff"], 16), "CapBnd": int(lines["CapBnd"], 16),
            "Groups": lines["Groups"].split(), "uid": os.getuid(), "umask": mask, "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "env": {name: value for name, value in os.environ.items() if name.endswith("_DIRECTORY") or name.startswith("WATCHDOG_")},
            "pid": os.getpid()}


def main():
    results = {}
    for what, attempt in probes(sys.argv[1], sys.argv[2]).items():
        try:
            attempt()
            results[what] = "done"
        except OSError as fault:
            results[what] = errno.errorcode.get(fault.errno, str(fault))
    print(json.dumps([results, status()]))


if __name__ == "__main__":
    main()
