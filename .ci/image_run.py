#!/usr/bin/env python3
"""Does by hand what a Dockerfile's last stage says: its COPY lines into an empty root, its command in there.

python3 .ci/image_run.py packaging/docker/Dockerfile FOLDER    FOLDER is what the first stage makes as /dist
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 30


def main():
    dockerfile, built = sys.argv[1:]
    last = re.split(r"^FROM ", open(dockerfile).read(), flags=re.M)[-1]
    assert last.startswith("scratch\n"), last
    line = lambda name: re.search(rf"^{name} (.*)$", last, re.M).group(1)
    health = json.loads(re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", last, re.M).group(1))
    entry, user = json.loads(line("ENTRYPOINT")) + json.loads(line("CMD")), line("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), f"{user}: no name is known in an empty root"

    root = tempfile.mkdtemp()
    os.chmod(root, 0o755)
    copies = re.findall(r"^COPY (--from=build )?(\S+) (\S+)$", last, re.M)
    assert copies
    for stage, source, to in copies:
        source = os.path.join(built, os.path.relpath(source, "/dist")) if stage else source
        to = root + to
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(source, to)
    # A container has /proc, and nothing else that matters here.
    print("in an empty root as", user, "+", *entry)
    inside = [shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin"), f"--userspec={user}", root]
    server = subprocess.Popen(inside + entry, env={}, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(inside + health, env={}, capture_output=True).returncode != 0:
            assert server.poll() is None and time.monotonic() < deadline, "it is not healthy"
            time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", 9000), PATIENCE) as client:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
        server.terminate()
        assert server.wait(PATIENCE) == 0, server.returncode
        gone = subprocess.run(inside + health, env={}, capture_output=True, text=True)
        assert gone.returncode == 1, "a server that has gone is not healthy"
        print("healthy, serves, drains;", gone.stderr.strip())
    finally:
        if server.poll() is None:
            server.kill()
        shutil.rmtree(root)


main()
