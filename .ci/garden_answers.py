"""Whether answers can be smuggled through `windlass proxy --mode http`: garden_answers.py WINDLASS [ROOM]

The other direction of `garden.py`: an origin that answers with everything that is odd about an answer, most of it with
a whole second answer in it or behind it. Whatever it says, a client behind the proxy is to see one well-formed answer,
or 502, or one that was plainly cut short, with what had come of it; the next request on the same connection its own answer; and the origin no
further request on a connection on which it was odd. Clients are a strict one of ours, curl, Python's and node's."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import garden

MARK = b"SMUGGLED"
SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nSMUGGLED\n"
HONEST = b"honest\n"
# What an answer may come to: it is refused; it is passed on whole; it breaks off; or whichever of those.
BAD, GOOD, CUT, ANY = "502", "passed on", "cut short", "any"


def head(*lines, status=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([status, *lines]) + b"\r\n\r\n"


def chunked(body, *lines):
    return head(b"Transfer-Encoding: chunked", *lines) + body


class Payload:
    """What is answered. `stays`: the connection stays open behind it. `reused`: it may get another request."""

    def __init__(self, name, data, may=BAD, stays=True, reused=False, method="GET", late=b""):
        self.name, self.data, self.may, self.stays = name, data, may, stays
        self.reused, self.method, self.late = reused, method, late


def payloads():
    body = b"hello"
    length = b"Content-Length: 5"
    yield Payload("nothing is wrong", head(length) + body, GOOD, reused=True)
    yield Payload("chunks", chunked(b"5\r\nhello\r\n0\r\n\r\n"), GOOD, reused=True)
    yield Payload("chunks with extensions and trailers", chunked(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"), ANY, reused=True)
    yield Payload("until the end", head() + body, GOOD, stays=False)
    yield Payload("HTTP/1.0 until the end", head(status=b"HTTP/1.0 200 OK") + body, GOOD, stays=False)
    # Whose length is said twice.
    yield Payload("length and chunks", chunked(b"5\r\nhello\r\n0\r\n\r\n", length), ANY)
    yield Payload("chunks, short length", chunked(b"5\r\nhello\r\n0\r\n\r\n" + SECOND, b"Content-Length: 2"), ANY)
    yield Payload("chunks, length to the second", head(b"Content-Length: 15", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SECOND, ANY)
    yield Payload("two lengths", head(b"Content-Length: 0", length) + body + SECOND)
    yield Payload("two lengths, other order", head(length, b"Content-Length: 0") + body + SECOND)
    yield Payload("the same length twice", head(length, length) + body, ANY)
    for text in [b"5, 6", b"5,6", b"+5", b"-5", b"0x5", b"5 5", b"5.0", b"1e1", b"", b"five", b"5;q=1",
                 b"99999999999999999999", b"18446744073709551621", b"\xd9\xa5", b"5\x0b", b"05\x00"]:
        yield Payload(f"length {text!r}", head(b"Content-Length: " + text) + body + SECOND)
    yield Payload("length list of one value", head(b"Content-Length: 5, 5") + body, ANY)
    yield Payload("length in another word", head(b"Content_Length: 60", length) + body, GOOD, reused=True)
    yield Payload("space before the colon", head(b"Content-Length : 60", length) + body + SECOND)
    yield Payload("space before the colon of chunks", head(b"Transfer-Encoding : chunked", length) + body + SECOND)
    # Codings.
    for text in [b"chunked, chunked", b"chunked, identity", b"xchunked", b"chunkedx", b"chunked;q=1", b"\"chunked\"",
                 b"chunked, gzip", b"\x0bchunked", b"chun ked", b"ch\x00unked", b"identity", b"", b"gzip"]:
        yield Payload(f"coding {text!r}", head(b"Transfer-Encoding: " + text) + b"5\r\nhello\r\n0\r\n\r\n" + SECOND, ANY if text in (b"gzip", b"identity", b"") else BAD)
    yield Payload("coding twice", chunked(b"5\r\nhello\r\n0\r\n\r\n" + SECOND, b"Transfer-Encoding: chunked"))
    yield Payload("coding twice, one unknown", chunked(b"5\r\nhello\r\n0\r\n\r\n" + SECOND, b"Transfer-Encoding: cow"))
    yield Payload("gzip and chunks", head(b"Transfer-Encoding: gzip, chunked") + b"5\r\nhello\r\n0\r\n\r\n", ANY)
    yield Payload("coding in HTTP/1.0", head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + b"0\r\n\r\n" + SECOND, ANY)
    # Heads.
    yield Payload("folded", head(b"X: a", b" folded", length) + body)
    yield Payload("folded length", head(b"Content-Length:", b" 5") + body + SECOND)
    yield Payload("folded coding", head(b"Transfer-Encoding:", b"\tchunked") + b"0\r\n\r\n" + SECOND)
    yield Payload("folded first line", b"HTTP/1.1 200 OK\r\n X: a\r\n" + length + b"\r\n\r\n" + body)
    yield Payload("bare LF everywhere", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", ANY)
    yield Payload("a bare LF in a value", head(b"X: a\nContent-Length: 60", length) + body + SECOND, ANY)
    yield Payload("a bare CR in a value", head(b"X: a\rContent-Length: 60", length) + body + SECOND)
    yield Payload("a bare CR before a line", head(b"X: a", b"\rContent-Length: 60", length) + body + SECOND)
    yield Payload("two CRs", head(b"X: a\r", length) + body + SECOND)
    yield Payload("a NUL in a value", head(b"X: a\x00b", length) + body)
    yield Payload("a NUL in a name", head(b"X\x00: a", length) + body)
    yield Payload("no colon", head(b"X", length) + body)
    yield Payload("no name", head(b": a", length) + body)
    yield Payload("a space in a name", head(b"X Y: a", length) + body)
    yield Payload("a name that is no token", head(b"X(Y): a", length) + body)
    yield Payload("a second answer in a value", head(b"X: a\r\n\r\n" + SECOND.rstrip(), length) + body, ANY)
    yield Payload("64 KiB of a value", head(b"X: " + b"a" * 65536, length) + body, ANY)
    yield Payload("1 MiB of lines", head(*[b"X: " + b"a" * 1000] * 1000, length) + body)
    # First lines.
    for text in [b"hello", b"HTTP/0.9 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1 200 OK", b"http/1.1 200 OK",
                 b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 0200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 000 OK",
                 b"HTTP/1.1\t200\tOK", b"HTTP/1.1  200 OK", b" HTTP/1.1 200 OK", b"GET / HTTP/1.1", b"HTTP/1.1 +20 OK", b"HTTP/1.1 200 O\x00K",
                 b"HTTP/1.1 200 O\rK", b"ICY 200 OK", b"\x16\x03\x01\x02", b""]:
        # An empty line, or two, in front: some clients let it pass.
        yield Payload(f"first line {text!r}", head(length, status=text) + body + SECOND, BAD if text else ANY)
    yield Payload("no reason", head(length, status=b"HTTP/1.1 200 ") + body, GOOD, reused=True)
    yield Payload("no reason, no space", head(length, status=b"HTTP/1.1 200") + body, ANY, reused=True)
    yield Payload("HTTP/0.9", b"hello", BAD, stays=False)
    yield Payload("HTTP/0.9 with a second answer", b"hello\r\n\r\n" + SECOND, BAD, stays=False)
    # Chunks.
    for text in [b"0x5", b"+5", b"-5", b"5 5", b"", b"g", b"5,", b"FFFFFFFFFFFFFFFF5", b"10000000000000005",
                 b"\xd9\xa5", b"5\x00", b"5.", b"5\r"]:
        yield Payload(f"chunk of {text!r}", chunked(text + b"\r\nhello\r\n0\r\n\r\n" + SECOND), CUT)
    for text in [b" 5", b"5 ", b"5\t", b"00000005", b"5 ;a", b"5;a=\"\r\nb\"", b"5;\xff", b"5;a\nb"]:
        yield Payload(f"chunk of {text!r}", chunked(text + b"\r\nhello\r\n0\r\n\r\n"), ANY, reused=True)
    yield Payload("chunks by LF", chunked(b"5\nhello\n0\n\n" + SECOND), ANY)
    yield Payload("a chunk's end by LF", chunked(b"5\r\nhello\n0\r\n\r\n" + SECOND), CUT)
    yield Payload("a chunk's end by CR", chunked(b"5\r\nhello\r0\r\n\r\n" + SECOND), CUT)
    yield Payload("a chunk without an end", chunked(b"5\r\nhello0\r\n\r\n" + SECOND), CUT)
    yield Payload("a chunk that is too short", chunked(b"6\r\nhello\r\n0\r\n\r\n" + SECOND), CUT)
    yield Payload("a chunk that is too long", chunked(b"4\r\nhello\r\n0\r\n\r\n" + SECOND), CUT)
    yield Payload("a length among trailers", chunked(b"5\r\nhello\r\n0\r\nContent-Length: 60\r\n\r\n" + SECOND), ANY)
    yield Payload("a trailer without a colon", chunked(b"5\r\nhello\r\n0\r\nX\r\n\r\n" + SECOND), CUT)
    yield Payload("1 MiB of trailers", chunked(b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 180000 + b"\r\n"), ANY)
    yield Payload("64 KiB of an extension", chunked(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"), ANY)
    # It ends too early.
    yield Payload("an end before all", b"", BAD, stays=False)
    yield Payload("an end in the first line", b"HTTP/1.1 2", BAD, stays=False)
    yield Payload("an end in the head", b"HTTP/1.1 200 OK\r\nX: a\r\n", BAD, stays=False)
    yield Payload("an end in the body", head(b"Content-Length: 60") + body, CUT, stays=False)
    yield Payload("an end in a chunk", chunked(b"50\r\nhello"), CUT, stays=False)
    yield Payload("an end between chunks", chunked(b"5\r\nhello\r\n"), CUT, stays=False)
    yield Payload("an end before the last line", chunked(b"5\r\nhello\r\n0\r\n"), CUT, stays=False)
    # More than there should be.
    yield Payload("a second answer", head(length) + body + SECOND, GOOD)
    yield Payload("a second answer behind chunks", chunked(b"5\r\nhello\r\n0\r\n\r\n" + SECOND), GOOD)
    yield Payload("a second answer, later", head(length) + body, GOOD, late=SECOND)
    yield Payload("garbage behind", head(length) + body + b"\x00\xff\r\n\r\n", GOOD)
    yield Payload("an empty line behind", head(length) + body + b"\r\n", ANY)
    yield Payload("100 behind", head(length) + body + b"HTTP/1.1 100 Continue\r\n\r\n", GOOD)
    for status in [b"204 No Content", b"304 Not Modified"]:
        name = status[:3].decode()
        status = b"HTTP/1.1 " + status
        yield Payload(f"{name} with a body", head(status=status) + SECOND, ANY)
        yield Payload(f"{name} with a length and a body", head(b"Content-Length: 48", status=status) + SECOND, ANY)
        yield Payload(f"{name} with chunks", head(b"Transfer-Encoding: chunked", status=status) + b"0\r\n\r\n" + SECOND, ANY)
    yield Payload("205 with a body", head(length, status=b"HTTP/1.1 205 Reset Content") + body, ANY, reused=True)
    yield Payload("HEAD with a body", head(b"Content-Length: 48") + SECOND, ANY, method="HEAD")
    yield Payload("HEAD with chunks", chunked(b"5\r\nhello\r\n0\r\n\r\n" + SECOND), ANY, method="HEAD")
    yield Payload("HEAD as it should be", head(length), GOOD, reused=True, method="HEAD")
    # Interim answers.
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    yield Payload("an interim answer", interim + head(length) + body, GOOD, reused=True)
    yield Payload("three interim answers", interim * 3 + head(length) + body, GOOD, reused=True)
    yield Payload("interim answers without end", interim * 20000, ANY)
    yield Payload("100 that nobody waits for", b"HTTP/1.1 100 Continue\r\n\r\n" + head(length) + body, ANY, reused=True)
    yield Payload("an interim answer with a length", b"HTTP/1.1 103 X\r\nContent-Length: 48\r\n\r\n" + SECOND, ANY, reused=True)
    yield Payload("an interim answer with chunks", b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + head(length) + body, ANY)
    yield Payload("101 that nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + SECOND, ANY)
    yield Payload("101 with a length", b"HTTP/1.1 101 X\r\nContent-Length: 48\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + SECOND, ANY)
    yield Payload("199 and the end", b"HTTP/1.1 199 X\r\n\r\n", BAD, stays=False)


class Origin:
    """Answers `/N` with the payload of that number, and anything else honestly."""

    def __init__(self, all_of_them):
        self.payloads = all_of_them
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        # Connections on which it was odd, and requests that came on them later.
        self.asked_again = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        odd = None
        try:
            heard = b""
            while True:
                while b"\r\n\r\n" not in heard:
                    piece = stream.recv(65536)
                    if not piece:
                        return
                    heard += piece
                request, heard = heard.split(b"\r\n\r\n", 1)
                target = request.split(b" ")[1].decode()
                if odd is not None:
                    self.asked_again.append((odd.name, target))
                number = re.fullmatch(r"/(\d+)", target)
                if not number:
                    stream.sendall(head(b"Content-Length: %d" % len(HONEST)) + HONEST)
                    continue
                payload = self.payloads[int(number[1])]
                stream.sendall(payload.data)
                if payload.late:
                    time.sleep(0.05)
                    stream.sendall(payload.late)
                if not payload.stays:
                    return
                if not payload.reused:
                    odd = payload
        except OSError:
            # The proxy had enough.
            pass
        finally:
            stream.close()


class Malformed(Exception):
    pass


class Strict:
    """A connection of a client that believes nothing."""

    def __init__(self, address):
        self.stream, self.heard = garden.connect(address), b""

    def more(self):
        try:
            piece = self.stream.recv(65536)
        except ConnectionError:
            piece = b""
        self.heard += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.heard:
            if not self.more():
                return None
        found, self.heard = self.heard.split(mark, 1)
        return found

    def ask(self, method, target):
        """Its status, whether its body is whole, that body, and whether the connection goes on. None: there is none."""
        try:
            self.stream.sendall(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        except OSError:
            return None
        for _ in range(200):
            status, headers = self.head()
            if status is None:
                return None
            if status == 101 or not 100 <= status < 200:
                break
            if any(name in headers for name in ("content-length", "transfer-encoding")):
                raise Malformed(f"an interim answer with framing: {headers}")
        else:
            raise Malformed("interim answers without end")
        lengths, codings = headers.get("content-length", []), headers.get("transfer-encoding", [])
        if len(lengths) + len(codings) > 1 or codings not in ([], ["chunked"]):
            raise Malformed(f"framed in more than one way: {headers}")
        if lengths and not re.fullmatch(r"\d{1,18}", lengths[0]):
            raise Malformed(f"no length: {lengths}")
        ends = "close" in ",".join(headers.get("connection", [])).lower()
        if status == 101:
            raise Malformed("a tunnel that nobody asked for")
        if method == "HEAD" or status in (204, 304):
            if status == 204 and (lengths or codings):
                raise Malformed(f"204 with framing: {headers}")
            return status, True, b"", not ends
        if codings:
            whole, body = self.chunks()
        elif lengths:
            length = int(lengths[0])
            while len(self.heard) < length and self.more():
                pass
            whole, body = len(self.heard) >= length, self.heard[:length]
            self.heard = self.heard[length:]
        else:
            while self.more():
                pass
            whole, body, ends, self.heard = True, self.heard, True, b""
        return status, whole, body, not ends and whole

    def head(self):
        text = self.until(b"\r\n\r\n")
        if text is None:
            if self.heard:
                raise Malformed(f"no head: {self.heard[:200]!r}")
            return None, None
        first, *lines = text.split(b"\r\n")
        matched = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [\t\x20-\x7e\x80-\xff]*", first)
        if not matched:
            raise Malformed(f"no status line: {first!r}")
        headers = {}
        for line in lines:
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*", line)
            if not field:
                raise Malformed(f"no header: {line[:200]!r}")
            headers.setdefault(field[1].decode().lower(), []).append(field[2].decode("latin-1"))
        return int(matched[1]), headers

    def chunks(self):
        body = b""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return False, body
            size = re.fullmatch(rb"([0-9a-fA-F]{1,16})(;[\t\x20-\x7e]*)?", line)
            if not size:
                raise Malformed(f"no chunk: {line[:200]!r}")
            size = int(size[1], 16)
            if size == 0:
                while (line := self.until(b"\r\n")) != b"":
                    if line is None:
                        return False, body
                    if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*", line):
                        raise Malformed(f"no trailer: {line[:200]!r}")
                return True, body
            while len(self.heard) < size + 2 and self.more():
                pass
            if len(self.heard) < size + 2:
                return False, body + self.heard
            if self.heard[size : size + 2] != b"\r\n":
                raise Malformed("a chunk that does not end")
            body, self.heard = body + self.heard[:size], self.heard[size + 2 :]


def judge(payload, status, whole, body):
    """What an answer came to, or why it must not be."""
    if status == 502:
        return BAD, payload.may in (BAD, ANY, CUT)
    if not whole:
        return CUT, payload.may in (CUT, ANY)
    # In one piece, as the origin may have meant it.
    return GOOD, payload.may in (GOOD, ANY)


def ask_strictly(address, payloads):
    """One connection for each payload, with an honest request behind it."""
    for number, payload in enumerate(payloads):
        client = Strict(address)
        try:
            answer = client.ask(payload.method, f"/{number}")
            if answer is None:
                # Also of one that broke off as soon as it began, its head has come.
                yield payload, None, "no answer at all"
                continue
            status, whole, body, goes_on = answer
            outcome, allowed = judge(payload, status, whole, body)
            if not allowed:
                yield payload, outcome, f"{outcome}, and may be {payload.may}: {status} {body[:100]!r}"
                continue
            if MARK in body and payload.may != ANY:
                yield payload, outcome, f"the second answer is in the first: {body[:200]!r}"
                continue
            if payload.late:
                time.sleep(0.2)
            if not goes_on:
                while client.more():
                    pass
                if client.heard:
                    yield payload, outcome, f"behind its end: {client.heard[:200]!r}"
                    continue
                client = Strict(address)
            elif client.heard:
                yield payload, outcome, f"behind the answer: {client.heard[:200]!r}"
                continue
            honest = client.ask("GET", "/honest")
            if honest is None or honest[:3] != (200, True, HONEST):
                yield payload, outcome, f"the next request is answered {honest}"
                continue
            yield payload, outcome, None
        except Malformed as why:
            yield payload, None, str(why)
        except TimeoutError:
            yield payload, None, "it hangs"
        finally:
            client.stream.close()


def ask_by_curl(port, payloads):
    for number, payload in enumerate(payloads):
        if payload.late:
            # It does not wait; and what comes behind a request is an answer to it.
            continue
        base = f"http://127.0.0.1:{port}"
        words = ["curl", "-s", "--max-time", "20", "--raw"]
        words += ["--head"] if payload.method == "HEAD" else []
        words += ["-o", "/dev/null", f"{base}/{number}", "--next", "-s", "--max-time", "20", f"{base}/honest"]
        said = subprocess.run(words, capture_output=True, timeout=60)
        if said.stdout != HONEST:
            yield payload, f"curl: the next request is answered {said.stdout[:200]!r}"


def ask_by_python(port, payloads):
    for number, payload in enumerate(payloads):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            client.request(payload.method, f"/{number}")
            answer = client.getresponse()
            answer.read()
            if 100 < answer.status < 200:
                # It takes an interim answer for the last one, and the next for that of its next request, unless both
                # came at once: then it drops it.
                client.close()
        except (http.client.HTTPException, ConnectionError):
            # Cut short, and it tells so.
            client.close()
        except TimeoutError:
            yield payload, "Python: it hangs"
            continue
        if payload.late:
            time.sleep(0.2)
        try:
            client.request("GET", "/honest")
            answer = client.getresponse().read()
        except (http.client.HTTPException, ConnectionError) as why:
            yield payload, f"Python: the next request fails: {why!r}"
            continue
        finally:
            client.close()
        if answer != HONEST:
            yield payload, f"Python: the next request is answered {answer[:200]!r}"


NODE = """
const http = require('http');
const [port, methods] = [+process.argv[1], process.argv[2].split(',')];
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (method, path) => new Promise((done) => {
  const request = http.request({ port, method, path, agent, timeout: 20000 }, (response) => {
    let body = '';
    response.on('data', (piece) => (body += piece));
    response.on('end', () => done(body));
    response.on('error', (error) => done('ERROR ' + error.code));
  });
  request.on('timeout', () => request.destroy(new Error('hangs')));
  request.on('upgrade', (_, socket) => { socket.destroy(); done('UPGRADE'); });
  request.on('error', (error) => done('ERROR ' + (error.code || error.message)));
  request.end();
});
(async () => {
  for (let n = 0; n < methods.length; n++) {
    if (methods[n] === '-') continue;
    const first = await ask(methods[n], '/' + n);
    const next = await ask('GET', '/honest');
    if (next !== 'honest\\n' || first === 'ERROR hangs') console.log(n + ' ' + JSON.stringify([first.slice(0, 100), next.slice(0, 100)]));
  }
  process.exit(0);
})();
"""


def ask_by_node(port, payloads):
    # As above.
    methods = ",".join("-" if payload.late else payload.method for payload in payloads)
    said = subprocess.run(["node", "-e", NODE, str(port), methods], capture_output=True, text=True, timeout=300)
    if said.returncode != 0:
        yield payloads[0], f"node: {said.stderr[:500]}"
    for line in said.stdout.splitlines():
        number, what = line.split(" ", 1)
        yield payloads[int(number)], f"node: the answers are {what}"


def main():
    windlass = os.path.abspath(sys.argv[1])
    room = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "target/garden")
    os.makedirs(room, exist_ok=True)
    all_of_them = list(payloads())
    origin = Origin(all_of_them)
    port = garden.free_port()
    path = os.path.join(room, "answers.toml")
    with open(path, "w") as out:
        # A retry would only be answered in the same way.
        out.write(
            f'[server]\nworkers = 1\n[[proxy]]\nmode = "http"\nlisten = "127.0.0.1:{port}"\n'
            f'to = "127.0.0.1:{origin.port}"\nfailures_max = 0\nretries_max = 0\nserver_timeout = "2s"\n'
        )
    output = open(os.path.join(room, "answers.output"), "w")
    proxy = subprocess.Popen([windlass, "run", "-q", "-c", path], stdout=output, stderr=output)
    problems, came_to = [], {}
    began = time.monotonic()
    try:
        address = ("127.0.0.1", port)
        garden.until("windlass listens", lambda: proxy.poll() is not None or garden.listens(address))
        for payload, outcome, why in ask_strictly(address, all_of_them):
            came_to[outcome] = came_to.get(outcome, 0) + 1
            if why:
                problems.append((payload, why))
        clients = ["a strict one", "Python"]
        problems += ask_by_python(port, all_of_them)
        for name, ask in [("curl", ask_by_curl), ("node", ask_by_node)]:
            if shutil.which(name):
                clients.append(name)
                problems += ask(port, all_of_them)
            else:
                print(f"SKIPPED: no {name} here")
        for name, target in origin.asked_again:
            problems.append((None, f"after `{name}` the same connection was asked for {target}"))
        proxy.terminate()
        if proxy.wait(garden.LONG) != 0:
            problems.append((None, f"windlass ended with {proxy.returncode}"))
    finally:
        proxy.kill()
    for payload, why in problems[:40]:
        print(f"  {payload.name if payload else '-'}: {why}")
    words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(came_to.items(), key=str))
    print(
        f"{len(all_of_them)} odd answers to {', '.join(clients)}: {words}; {len(problems)} problems, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
