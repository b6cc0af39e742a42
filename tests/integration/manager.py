"""What a service manager does for a daemon: sockets that it hands over, variables that it sets."""

import os
import socket
import sys

from harness import Bridge

# Runs a program as the process that LISTEN_PID and WATCHDOG_PID name, the descriptors of the first argument from 3 on.
HAND_OVER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[1].split()]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
for name in sys.argv[2].split():
    os.environ[name] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


class Managed(Bridge):
    """An esbridged with variables for itself (OWN names those that have its process id), and handed what is in HANDED."""

    def __init__(self, folder, settings, handed=(), own=("LISTEN_PID",), **env):
        super().__init__(folder, settings)
        self.handed, self.own, self.env = list(handed), own, env
        if handed:
            self.env.setdefault("LISTEN_FDS", str(len(handed)))

    def command(self, arguments):
        return [sys.executable, "-c", HAND_OVER, " ".join(str(h.fileno()) for h in self.handed), " ".join(self.own)] + arguments

    def launch(self, arguments, env=None, **options):
        super().launch(self.command(arguments), env, pass_fds=[h.fileno() for h in self.handed], **options)


def listener(path, mode=0o660):
    """A socket as esbridged.socket makes it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    os.chmod(path, mode)
    sock.listen(128)
    return sock
