#!/usr/bin/env python3
"""Starts the server as its installed unit says, without systemd, and is its supervisor.

python3 .ci/package_run.py /lib/systemd/system/windlass.service

It runs as a user of the range that systemd takes for DynamicUser, without capabilities, with the unit's
folders and descriptor limit; is told READY, WATCHDOG and STOPPING; is spoken to; and drains. Then it runs
once more under strace, and every system call it makes is held against the unit's SystemCallFilter.
"""

import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

USER = 61184
PATIENCE = 30


def unit_of(path):
    unit = {}
    for line in open(path):
        line = line.strip()
        if line and line[0] not in "#;[" and "=" in line:
            key, value = line.split("=", 1)
            unit.setdefault(key, []).append(value)
    return unit


def seconds(text):
    return float(re.fullmatch(r"([0-9.]+)s?", text).group(1))


def folders(unit):
    made = []
    for key, root in (("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")):
        path = os.path.join(root, unit[key][-1])
        os.makedirs(path)
        os.chmod(path, int(unit[key + "Mode"][-1], 8))
        os.chown(path, USER, USER)
        made.append(path)
    return made


def start(unit, notify, before=()):
    """As the unit says, as far as a program can that is not systemd."""
    limit = int(unit["LimitNOFILE"][-1])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    environment = {
        "PATH": "/usr/bin:/bin",
        "NOTIFY_SOCKET": notify,
        "WATCHDOG_USEC": str(int(seconds(unit["WatchdogSec"][-1]) * 1e6)),
        "RUNTIME_DIRECTORY": "/run/" + unit["RuntimeDirectory"][-1],
        "STATE_DIRECTORY": "/var/lib/" + unit["StateDirectory"][-1],
    }
    privileges = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs",
                  "--bounding-set=-all", "--inh-caps=-all"]
    command = privileges + list(before) + shlex.split(unit["ExecStart"][-1])
    print("+", *command)

    def prepare():
        os.umask(int(unit["UMask"][-1], 8))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    return subprocess.Popen(command, env=environment, cwd="/", preexec_fn=prepare)


class Supervisor:
    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.socket.settimeout(PATIENCE)

    def hears(self, wanted):
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            if wanted in lines:
                print("heard:", *lines)
                return lines


def served():
    """Echo, health and metrics, at the addresses of the configuration that is installed."""
    with socket.create_connection(("127.0.0.1", 9000), PATIENCE) as client:
        client.sendall(b"hello")
        assert client.recv(5, socket.MSG_WAITALL) == b"hello"
    subprocess.run(["/usr/bin/windlass", "health", "-c", "/etc/windlass/windlass.toml"], check=True)
    with socket.create_connection(("127.0.0.1", 9900), PATIENCE) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = b"".join(iter(lambda: client.recv(65536), b""))
        assert b"windlass_up 1" in page, page


def stop(server, supervisor, pid):
    stays = socket.create_connection(("127.0.0.1", 9000), PATIENCE)
    stays.sendall(b"stays")
    assert stays.recv(5, socket.MSG_WAITALL) == b"stays"
    os.kill(pid, 15)
    supervisor.hears("STOPPING=1")
    stays.settimeout(PATIENCE)
    assert stays.recv(1) == b"", "a drain ends it in good order"
    stays.close()
    assert server.wait(PATIENCE) == 0, server.returncode


class Successor:
    """A process that is not our child, and so only seen from outside."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, 0

    def poll(self):
        try:
            return 0 if status(self.pid, "State").startswith("Z") else None
        except FileNotFoundError:
            return 0

    def wait(self, patience):
        deadline = time.monotonic() + patience
        while self.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.05)
        return 0

    def kill(self):
        os.kill(self.pid, 9)


def upgraded(server, supervisor):
    """SIGUSR2: another process takes over, and the supervisor hears which."""
    os.kill(server.pid, signal.SIGUSR2)
    lines = supervisor.hears("READY=1")
    pid = next(int(line[8:]) for line in lines if line.startswith("MAINPID="))
    assert pid != server.pid
    assert server.wait(PATIENCE) == 0, server.returncode
    supervisor.hears("WATCHDOG=1")
    return Successor(pid)


def status(pid, key):
    return re.search(rf"^{key}:\s*(.*)$", open(f"/proc/{pid}/status").read(), re.M).group(1)


def filtered(unit):
    """The names that the unit's SystemCallFilter lets through."""
    groups, group = {}, None
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), [])
        elif line.strip() and group is not None and not line.strip().startswith("#"):
            group.append(line.strip())

    def names(word):
        if not word.startswith("@"):
            return {word}
        return set().union(*(names(inner) for inner in groups[word]))

    allowed = names("@default")
    for value in unit["SystemCallFilter"]:
        named = set().union(*(names(word) for word in value.lstrip("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def main():
    unit = unit_of(sys.argv[1])
    for key in ("Type", "DynamicUser", "WatchdogSec", "SystemCallFilter"):
        assert key in unit, key
    assert unit["Type"] == ["notify"] and unit["DynamicUser"] == ["yes"]
    scratch = tempfile.mkdtemp()
    os.chmod(scratch, 0o755)
    supervisor = Supervisor(scratch)
    made = folders(unit)
    server = None
    try:
        server = start(unit, supervisor.path)
        lines = supervisor.hears("READY=1")
        assert f"MAINPID={server.pid}" in lines, lines
        assert status(server.pid, "Uid").split() == [str(USER)] * 4
        assert status(server.pid, "CapBnd") == "0" * 16 and status(server.pid, "NoNewPrivs") == "1"
        served()
        began = time.monotonic()
        for _ in range(3):
            supervisor.hears("WATCHDOG=1")
        each = (time.monotonic() - began) / 3
        assert each < seconds(unit["WatchdogSec"][-1]), f"a ping every {each} s"
        server = upgraded(server, supervisor)
        served()
        stop(server, supervisor, server.pid)

        if shutil.which("strace"):
            calls = os.path.join(scratch, "calls")
            open(calls, "w").close()
            os.chown(calls, USER, USER)
            server = start(unit, supervisor.path, ["strace", "-f", "-qq", "-o", calls])
            lines = supervisor.hears("READY=1")
            pid = next(int(line[8:]) for line in lines if line.startswith("MAINPID="))
            served()
            supervisor.hears("WATCHDOG=1")
            stop(server, supervisor, pid)
            made_calls = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", open(calls).read(), re.M)) - {"execve"}
            refused = made_calls - filtered(unit)
            print(f"{len(made_calls)} system calls, refused by the unit: {sorted(refused) or 'none'}")
            assert len(made_calls) > 30 and not refused
    finally:
        if server and server.poll() is None:
            server.kill()
        for path in made + [scratch]:
            shutil.rmtree(path, ignore_errors=True)


main()
