"""Mosquitto's own scripts for brokers, from its sources, against `windlass hub`: mosquitto_suite.py SOURCES [WINDLASS]

Nothing of Mosquitto's is needed but the folder `test` of its sources (as `apt-get source mosquitto` brings them), and
psutil from PyPI. Where the scripts look for the broker stands this file: it takes the broker's arguments, has `windlass
hub import` read its configuration, and becomes the hub. Scripts about what is Mosquitto's alone are left out: plugins,
bridges, its dynamic security, control topics, files of its persistence, its HTTP API, Sparkplug.

It fails if a script does that is not among those for which the hub does otherwise, for reasons that stand in
benches/CONFORMANCE.md.
"""

import ast
import concurrent.futures
import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ABOUT_MOSQUITTO = re.compile(r"plugin|bridge|dynsec|15-persist|control|sparkplug|http-api|16-|psk|extended")
# Scripts of 2.1.2 that want what the hub does not do. Some of them pass where the machine is quick or slow enough.
OTHERWISE = """
    01-bad-initial-packets 01-connect-575314 01-connect-accept-protocol 01-connect-auto-id
    01-connect-global-max-clients 01-connect-global-max-connections 01-connect-listener-allow-anonymous
    01-connect-max-keepalive 01-connect-uname-or-anon 01-connect-unix-socket 01-connect-zero-length-id
    02-subpub-qos0-oversize-payload 02-subpub-qos1-message-expiry 02-subpub-qos1-oversize-payload 02-subpub-qos2
    02-subpub-qos2-max-inflight-bytes 02-subscribe-long-topic 03-publish-c2b-disconnect-qos2 03-publish-dollar-v5
    03-publish-long-topic 03-publish-qos1-max-inflight-expire 03-publish-qos2-dup 03-publish-qos2-reuse-mid
    04-retain-check-source 04-retain-check-source-persist 04-retain-check-source-persist-diff-port
    04-retain-upgrade-outgoing-qos 07-will-delay 07-will-delay-reconnect 07-will-delay-recover 07-will-invalid-utf8
    07-will-oversize-payload 07-will-takeover 08-ssl-connect-cert-auth-expired-allowed
    08-ssl-connect-cert-auth-revoked 08-ssl-connect-no-identity 09-acl-access-variants 09-acl-change 09-acl-empty-file
    09-pwfile-parse-invalid 10-listener-mount-point 11-message-expiry 11-persistent-subscription-no-local
    12-prop-maximum-packet-size-publish-qos1 12-prop-maximum-packet-size-publish-qos2 13-websocket-bad-origin
    21-proxy-bad-version 21-proxy-v1-bad 21-proxy-v1-success 21-proxy-v2-bad-config 21-proxy-v2-bad-header
    21-proxy-v2-ipv4 21-proxy-v2-ipv6 21-proxy-v2-local 21-proxy-v2-ssl-cipher 21-proxy-v2-ssl-common-name-failure
    21-proxy-v2-ssl-common-name-success 21-proxy-v2-ssl-require-cert-failure 21-proxy-v2-ssl-require-cert-success
    21-proxy-v2-ssl-require-tls-failure 21-proxy-v2-ssl-require-tls-success 21-proxy-v2-unix 21-proxy-v2-websockets
    23-security-acl-file-reload
""".split()
SECONDS = 90
AT_ONCE = 3
FIRST_PORT = 14_000


def stand_in(arguments):
    """Becomes the hub that the broker of these arguments would be."""
    windlass = os.environ["WINDLASS"]
    conf, ports, check = None, [], False
    while arguments:
        argument = arguments.pop(0)
        if argument == "-c":
            conf = arguments.pop(0)
        elif argument == "-p":
            ports.append(arguments.pop(0))
        elif argument == "--test-config":
            check = True
        elif argument != "-v":
            sys.exit(f"unknown: {argument}")
    here = os.path.dirname(os.path.abspath(conf)) if conf else os.getcwd()
    own = os.path.join(here, f".hub-{os.getpid()}")
    with open(own + ".conf", "w") as file:
        file.write(open(conf).read() if conf else "")
    made = subprocess.run(
        [windlass, "hub", "import", own + ".conf", "-o", own + ".toml"], stderr=subprocess.PIPE, text=True
    )
    sys.stderr.write(made.stderr)
    if made.returncode:
        sys.exit(made.returncode)
    toml = open(own + ".toml").read()
    toml = re.sub(r"^user = .*\n", "", toml, flags=re.M)
    # Replies are compared byte for byte.
    toml = toml.replace("[[hub]]\n", "[[hub]]\nterse = true\n")
    # The port of the command line is that of who has no listener.
    if ports:
        toml = toml.replace('127.0.0.1:1883"', f'127.0.0.1:{ports[0]}"')
    # OpenSSL makes a chain of what is in `cafile`; here it stands in the file of the certificate.
    certificate = re.search(r'^cert = "(.*)"$', toml, re.M)
    if certificate:
        with open(own + ".crt", "w") as chain:
            for part in (certificate.group(1), "../ssl/test-signing-ca.crt"):
                chain.write(open(os.path.join(here, part)).read())
        toml = toml.replace(certificate.group(0), f'cert = "{own}.crt"')
    # The file in which Mosquitto would keep its state says whether there is any.
    state = re.search(r"^persistence_file\s+(\S+)", open(own + ".conf").read(), re.M)
    if state and "data = " in toml:
        mark = os.path.join(here, state.group(1))
        data = os.path.join(os.environ["HUB_DATA"], os.path.basename(mark))
        if not os.path.exists(mark):
            shutil.rmtree(data, ignore_errors=True)
        open(mark, "a").close()
        toml = re.sub(r"^data = .*$", f'data = "{data}"', toml, flags=re.M)
    with open(own + ".toml", "w") as file:
        file.write(toml)
    sys.stderr.flush()
    os.execv(windlass, [windlass, "check" if check else "run", "-c", own + ".toml"])


def suite(sources, windlass):
    test = os.path.join(os.path.abspath(sources), "test")
    listed = open(os.path.join(test, "broker", "test.py")).read()
    found = re.findall(r"^\s*\((\d+),\s*'\./([^']+)'\s*(?:,\s*(\[[^\]]*\]|'[^']*'))?\),", listed, re.M)
    scripts = [script for script in found if not ABOUT_MOSQUITTO.search(script[1])]
    with tempfile.TemporaryDirectory() as work:
        os.makedirs(os.path.join(work, "src"))
        os.makedirs(os.path.join(work, "data"))
        broker = os.path.join(work, "src", "mosquitto")
        with open(broker, "w") as file:
            file.write(f'#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} --stand-in "$@"\n')
        os.chmod(broker, 0o755)
        environment = dict(
            os.environ,
            BUILD_ROOT=work,
            PYTHONPATH=test,
            WINDLASS=os.path.abspath(windlass),
            HUB_DATA=os.path.join(work, "data"),
        )
        slots = queue.Queue()
        for slot in range(AT_ONCE):
            slots.put(slot)

        def run(script):
            ports, name, more = script
            slot = slots.get()
            first = FIRST_PORT + slot * 20
            more = ast.literal_eval(more) if more else []
            more = [more] if isinstance(more, str) else more
            command = [sys.executable, name, *more, *(str(first + n) for n in range(int(ports)))]
            process = subprocess.Popen(
                command,
                cwd=os.path.join(test, "broker"),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                said, _ = process.communicate(timeout=SECONDS)
                return process.returncode, said.decode(errors="replace")
            except subprocess.TimeoutExpired as late:
                return "no end", (late.stdout or b"").decode(errors="replace")
            finally:
                # With a broker that it has left behind.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                slots.put(slot)

        passed, unexpected = 0, []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            for (_, name, more), (status, said) in zip(scripts, threads.map(run, scripts)):
                passed += status == 0
                known = name.removesuffix(".py") in OTHERWISE
                if status != 0 and not known:
                    unexpected.append(name)
                how = "ok" if status == 0 else f"as listed: {status}" if known else f"FAILED {status}"
                print(f"=== {name} {more}".rstrip() + f" {how}", flush=True)
                if status != 0:
                    print(said[-6000:])
        for name in os.listdir(os.path.join(test, "broker")):
            if name.startswith(".hub-"):
                os.remove(os.path.join(test, "broker", name))
        print(f"{passed} of {len(scripts)}")
        if unexpected:
            sys.exit("not as listed: " + " ".join(unexpected))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stand-in"]:
        stand_in(sys.argv[2:])
    else:
        suite(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "target/debug/windlass")
