"""Whether requests can be smuggled through `windlass proxy --mode http`: garden.py WINDLASS [ROOM]

Every payload of `garden_payloads` is sent through the proxy to every origin of `garden_origins`, with an honest
request behind it on the same connection. Then the requests that an origin saw are held against those that the proxy
says it passed on: there must be none more, none less where the origin answered, and none that nobody asked for."""

import collections
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import garden_origins
import garden_payloads

ORIGINS_MIN = 6
# Longer than anything takes on a busy machine.
LONG = 30
TOKEN = re.compile(r"/([macf])(\d+)(?!\d)")
FORMAT = "{method} {target} {status} {backend} {retries} {ending} {why}"


def free_port():
    """One that no connection of ours gets as its own: those of clients come from above."""
    for port in random.sample(range(20000, 32000), 1000):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("garden: no free port")


def until(what, condition):
    deadline = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"garden: in vain: {what}")
        time.sleep(0.02)


def connect(address):
    stream = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    stream.settimeout(LONG)
    stream.connect(address)
    return stream


def listens(address):
    try:
        connect(address).close()
        return True
    except OSError:
        return False


def exchange(address, data):
    """Sends it all, ends, and hears all there is to hear."""
    with connect(address) as stream:
        heard = bytearray()
        try:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            # Refused, and closed already.
            pass
        try:
            while piece := stream.recv(65536):
                heard += piece
        except ConnectionError:
            pass
        return bytes(heard)


def honest(token):
    return f"GET /{token} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class Bed:
    """One origin behind the proxy."""

    def __init__(self, origin, address):
        self.origin, self.address = origin, address
        self.problems, self.sent, self.must_fail = [], 0, set()

    def water(self, payloads):
        try:
            for number, data, must_fail in payloads:
                if must_fail:
                    self.must_fail.add(number)
                heard = exchange(self.address, data + honest(f"a{number}"))
                self.sent += 1
                # A response that is about another request: the queue of responses is out of step.
                for _, other in TOKEN.findall(heard.decode("latin-1")):
                    if int(other) != number:
                        self.problems.append(f"payload {number} was answered with what is {other}'s: {data!r}")
            answer = exchange(self.address, honest("f0"))
            until(f"{self.origin.name} saw the last request: {answer!r}", lambda: self.has_seen("/f0"))
        except Exception as error:
            self.problems.append(f"after {self.sent} payloads: {error!r}")

    def has_seen(self, target):
        return any(target in line for line in self.origin.seen())

    def judge(self, log, payloads):
        data = {number: data for number, data, _ in payloads}
        seen, passed, answered = collections.Counter(), collections.Counter(), {}
        asked_twice, nameless = collections.Counter(), 0
        for line in self.origin.seen():
            tokens = TOKEN.findall(line)
            if line.strip() in ("", "-", '""'):
                # A connection that ended before a request.
                continue
            if line.split() == ["HTTP/1.1"]:
                # lighttpd has no words for a method that it does not know.
                nameless += 1
            elif len(tokens) != 1:
                self.problems.append(f"{self.origin.name} saw what nobody asked for: {line!r}")
            else:
                seen[tokens[0]] += 1
        for line in log:
            method, target, status, backend, retries, ending, _ = line.split(" ")
            if backend == "-":
                continue
            for token in TOKEN.findall(target)[:1]:
                passed[token] += 1
                asked_twice[token] += int(retries)
                answered.setdefault(token, []).append((int(status), ending))
        for token in seen | passed:
            kind, number = token[0], int(token[1])
            most = passed[token] + asked_twice[token]
            # An origin that refuses a request need not write it down, nor one whose client has left.
            served = [one for one in answered.get(token, []) if one[0] in (200, 404) and one[1] == "complete"]
            if not len(served) <= seen[token] <= most:
                self.problems.append(
                    f"{self.origin.name} saw /{kind}{number} {seen[token]} times, passed on were {passed[token]} "
                    f"(and {asked_twice[token]} again; {answered.get(token)}): {data.get(number)!r}"
                )
            if kind == "m" and number in self.must_fail:
                self.problems.append(f"what no reading makes safe was passed on: {data[number]!r}")
        if nameless > sum(passed.values()) + sum(asked_twice.values()) - sum(seen.values()):
            self.problems.append(f"{self.origin.name} saw {nameless} requests without a target")
        return sum(passed.values()), sum(seen.values()) + nameless, sum(1 for token in passed if token[0] == "c")


def main():
    windlass = os.path.abspath(sys.argv[1])
    room = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "target/garden")
    os.makedirs(room, exist_ok=True)
    origins, missing = garden_origins.origins()
    for name in missing:
        print(f"SKIPPED: no {name} here")
    if len(origins) < ORIGINS_MIN:
        print(f"SKIPPED: {len(origins)} origins, and {ORIGINS_MIN} are needed")
        return 77
    payloads = list(garden_payloads.numbered())
    processes, sockets = [], tempfile.mkdtemp(prefix="garden-")
    try:
        beds, config = [], "[server]\nworkers = 1\n"
        for origin in origins:
            origin.start(room, free_port())
            processes.append(origin.process)
            bed = Bed(origin, os.path.join(sockets, f"{origin.name}.sock"))
            beds.append(bed)
            bed.log = os.path.join(origin.room, "passed.log")
            if os.path.exists(bed.log):
                os.remove(bed.log)
            config += (
                f'[[proxy]]\nname = "{origin.name}"\nmode = "http"\nlisten = "unix:{bed.address}"\n'
                f'to = "127.0.0.1:{origin.port}"\nfailures_max = 0\n'
                # What is sent ends with the stream, and answers are wanted all the same.
                "http = { abort_on_close = false }\n"
                f'access_log = {{ path = "{bed.log}", format = "{FORMAT}" }}\n'
            )
        path = os.path.join(room, "windlass.toml")
        with open(path, "w") as out:
            out.write(config)
        for origin in origins:
            until(f"{origin.name} listens on {origin.port}", lambda: listens(("127.0.0.1", origin.port)))
        output = open(os.path.join(room, "windlass.output"), "w")
        proxy = subprocess.Popen([windlass, "run", "-q", "-c", path], stdout=output, stderr=output)
        processes.append(proxy)
        until("windlass listens", lambda: proxy.poll() is not None or listens(beds[-1].address))
        began = time.monotonic()
        threads = [threading.Thread(target=bed.water, args=(payloads,)) for bed in beds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        # What it has to say is in its logs when it has ended.
        proxy.terminate()
        if proxy.wait(LONG) != 0:
            sys.exit(f"garden: windlass ended with {proxy.returncode}")
        failed = False
        for bed in beds:
            with open(bed.log) as log:
                passed, seen, pipelined = bed.judge(log.read().splitlines(), payloads)
            print(
                f"{bed.origin.name} ({bed.origin.version}): {bed.sent} payloads, {passed} requests passed on, {seen} seen, "
                f"{pipelined} taken for requests of their own by both, {len(bed.problems)} problems"
            )
            for problem in bed.problems[:10]:
                print(f"  {problem}")
            failed |= bool(bed.problems)
        print(f"{len(payloads)} payloads to {len(beds)} origins in {took:.0f} s")
        return 1 if failed else 0
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(sockets, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
