#!/usr/bin/env python3
"""
Starts a memstore and an esbridged and runs client.js, which tests the one with a client that others have written, and
both against each other. Its TAP lines go through.
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from harness import World  # noqa: E402  (found only now)

MODULES = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "tests", "interop")
INSTALL_LIMIT, RUN_LIMIT = 90, 60


def bail_out(reason):
    for line in reason.splitlines():
        print("# " + line)
    print("Bail out! the interop test cannot run: see above")
    sys.exit(1)


def main():
    try:
        done = subprocess.run(["sh", os.path.join(HERE, "install"), MODULES], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=INSTALL_LIMIT)
    except subprocess.TimeoutExpired:
        bail_out("npm did not end within %d s" % INSTALL_LIMIT)
    if done.returncode != 0:
        bail_out(done.stderr)
    with World({"store": {"username": "admin", "password": "changeit"}}) as world:
        env = dict(os.environ, MODULES=MODULES, STORE_PORT=str(world.port), BRIDGE=world.bridge.socket)
        status = subprocess.run(["node", os.path.join(HERE, "client.js")], stdin=subprocess.DEVNULL, env=env,
                                timeout=RUN_LIMIT).returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
