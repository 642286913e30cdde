"""What smugglers send: requests that two implementations may read in two ways. Every one is made of bytes with the
token of its number in it: `/m7` is the target of the request itself, `/c7` stands in what may or may not be its
body, and must be nobody's target unless the proxy itself takes it for a request.

The classes are those of public collections (HTTP Garden's trophies, PortSwigger's obfuscations, CVE reports); the
bytes are made here."""

CHUNKED = b"Transfer-Encoding: chunked"

# One entry is what stands in the place of a Transfer-Encoding line.
TRANSFER_ENCODINGS = [
    CHUNKED,
    b"transfer-encoding: chunked",
    b"TRANSFER-ENCODING: CHUNKED",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:  chunked",
    b"Transfer-Encoding: chunked ",
    b"Transfer-Encoding: chunked\t",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding:\r\n\tchunked",
    b"Transfer-Encoding:\n chunked",
    b"Transfer-Encoding\r\n : chunked",
    b"Transfer-Encoding\n: chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding:\x0cchunked",
    b"Transfer-Encoding:\xa0chunked",
    b"Transfer-Encoding:\x85chunked",
    b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding\x00: chunked",
    b"Transfer\x00-Encoding: chunked",
    b"\x00Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: chunked\x0c",
    b"Transfer-Encoding: chunked\r",
    b"Transfer-Encoding: \rchunked",
    b"Transfer-Encoding:\rchunked",
    b"Transfer-Encoding: chun\rked",
    b"Transfer-Encoding: chunked\r\r",
    b"\rTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\n\rTransfer-Encoding: chunked",
    b"X: y\r\rTransfer-Encoding: chunked",
    b"X: y\x00Transfer-Encoding: chunked",
    b"X: y\r\n\rTransfer-Encoding: chunked",
    b"X:\r\n Transfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encodin\xe7: chunked",
    b"Transfer-Encoding: chun\xe2\x84\xaaed",
    b"Transfer-Encoding: \xffchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked,identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: , ,chunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked;",
    b"Transfer-Encoding: x;a=\"chunked\"",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chunked chunked",
    b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding: ",
    b": chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:: chunked",
    b"Transfer-Encoding; chunked",
    b"Transfer-Encoding chunked",
    b"Transfer Encoding: chunked",
    b"Transfer-Encoding:chunked:chunked",
    b"Content-Encoding: chunked",
    b"TE: chunked",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nConnection: keep-alive, transfer-encoding",
    b"Trailer: Transfer-Encoding\r\nTransfer-Encoding: chunked",
]

# What a Content-Length line may say for a body of `length` bytes.
CONTENT_LENGTHS = [
    b"Content-Length: %d",
    b"content-length: %d",
    b"Content-Length:%d",
    b"Content-Length:\t%d",
    b"Content-Length: %d ",
    b"Content-Length: %d\t",
    b"Content-Length: +%d",
    b"Content-Length: -%d",
    b"Content-Length: 0%d",
    b"Content-Length: 00000000000000000000%d",
    b"Content-Length: 0x%x",
    b"Content-Length: 0o%o",
    b"Content-Length: %d.0",
    b"Content-Length: %de0",
    b"Content-Length: 1_%d",
    b"Content-Length: %d_0",
    b"Content-Length: '%d'",
    b"Content-Length: \"%d\"",
    b"Content-Length: %d;",
    b"Content-Length: %d,",
    b"Content-Length: ,%d",
    b"Content-Length: %d, %d",
    b"Content-Length: %d, 0",
    b"Content-Length: 0, %d",
    b"Content-Length: %d %d",
    b"Content-Length: %d\r\nContent-Length: %d",
    b"Content-Length: %d\r\nContent-Length: 0",
    b"Content-Length: 0\r\nContent-Length: %d",
    b"Content-Length: %d\r\nContent-Length: +%d",
    b"Content-Length:\r\nContent-Length: %d",
    b"Content-Length: %d\r\nContent-Length:",
    b"Content-Length : %d",
    b"Content-Length\t: %d",
    b" Content-Length: %d",
    b"\tContent-Length: %d",
    b"Content-Length:\r\n %d",
    b"Content-Length:\n %d",
    b"Content-Length: %d\r\n 0",
    b"Content-Length: 0\r\n %d",
    b"Content-Length:\x0b%d",
    b"Content-Length:\x0c%d",
    b"Content-Length:\xa0%d",
    b"Content-Length: %d\x00",
    b"Content-Length: \x00%d",
    b"Content-Length\x00: %d",
    b"Content-Length: %d\r",
    b"Content-Length: %d\x0b",
    b"Content-Length:\r%d",
    b"X: y\rContent-Length: %d",
    b"X: y\nContent-Length: %d",
    b"X: y\x00Content-Length: %d",
    b"Content_Length: %d",
    b"Content Length: %d",
    b"Content-Length: ",
    b"Content-Length:",
    b"Content-Length: x",
    b"Content-Length: -0",
    b"Content-Length: \xd9\xa1%d",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: 99999999999999999999999999999999",
    b"Content-Length: 9223372036854775808",
    b"Connection: Content-Length\r\nContent-Length: %d",
    b"Content-Length: %d\r\nConnection: close, content-length",
]

# Bodies in chunks that are odd in one way; a reader that goes on behind them finds another request.
CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"05\r\nhello\r\n0\r\n\r\n",
    b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    b"00000000000000000000005\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"\t5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\t\r\nhello\r\n0\r\n\r\n",
    b"5\x0b\r\nhello\r\n0\r\n\r\n",
    b"5\x00\r\nhello\r\n0\r\n\r\n",
    b"5_\r\nhello\r\n0\r\n\r\n",
    b"0_5\r\nhello\r\n0\r\n\r\n",
    b"5.0\r\nhello\r\n0\r\n\r\n",
    b"5h\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b";\r\nhello\r\n0\r\n\r\n",
    b"5;\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\n\r\n",
    b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
    b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    b"5;a\nhello\r\n0\r\n\r\n",
    b"5;\nGET /c{n} HTTP/1.1\r\nHost: a\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    b"2;\nxx\r\n30\r\n0\r\n\r\nGET /c{n} HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
    b"5;\rhello\r\nhello\r\n0\r\n\r\n",
    b"5 ; a\r\nhello\r\n0\r\n\r\n",
    b"5,5\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\rhello\r0\r\r",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
    b"3\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n00\r\n\r\n",
    b"5\r\nhello\r\n0;a=b\r\n\r\n",
    b"5\r\nhello\r\n-0\r\n\r\n",
    b"5\r\nhello\r\n0x0\r\n\r\n",
    b"5\r\nhello\r\n 0\r\n\r\n",
    b"FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"100000005\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"5\r\nhello\r\n0\r\nX: y\r\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"5\r\nhello\r\n0\r\nGET /c{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    b"0\r\nGET /c{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"2d\r\nGET /c{n} HTTP/1.1\r\nHost: a\r\nX: 0123456789012\r\n0\r\n\r\n",
    b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5\r\nhel",
    b"",
]

# Whole heads, `{n}` being the number; what follows is a body of some kind, or another request.
HEADS = [
    b"GET /m{n} HTTP/1.1\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a, b\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a@b\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a/c{n}\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\n Host: a\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nX: y\r\n Host: a\r\n\r\n",
    b"GET http://a/m{n} HTTP/1.1\r\nHost: b\r\n\r\n",
    b"GET http://a/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b@a/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http:/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET ftp://a/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET //a/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET ?/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    b"CONNECT /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET  /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n}  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\t/m{n}\tHTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\x0b/m{n}\x0bHTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\xa0/m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b" GET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.1 \r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.1\rHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.1\nHost: a\n\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\n\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\n\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\r\n\r\n",
    b"GET /m{n}#f HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n}\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n}\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n}\rx HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n}\r\n",
    b"GET /m{n} HTTP/1.0\r\n\r\n",
    b"GET /m{n} HTTP/0.9\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.2\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.10\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/01.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/1.\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP/+1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} http/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTP /1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} HTTPS/1.1\r\nHost: a\r\n\r\n",
    b"GET /m{n} ICY/1.1\r\nHost: a\r\n\r\n",
    b"get /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G:T /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GE\x00T /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x00GET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\n\r\nGET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\nGET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\rGET /m{n} HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX\x80: z\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX(Y): z\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nX: \r\n\tb\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: x\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
]

# Bodies that methods without one may have all the same, and expectations.
BODIES = [
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"HEAD /m{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"DELETE /m{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"OPTIONS /m{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"TRACE /m{n} HTTP/1.1\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.0\r\nHost: a\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {l}\r\n\r\n",
    b"GET /m{n} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nExpect:\r\n 100-continue\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {l}\r\n\r\n",
    b"POST /m{n} HTTP/1.1\r\nHost: a\r\nX_Y: z\r\nContent-Length: {l}\r\n\r\n",
]

# What follows it becomes the rest of it, with the one `Host` that it lacks: the honest request behind it on the same
# connection, or the next one on the connection to the origin.
CANARY = b"GET /c{n} HTTP/1.1\r\nX: "


def payloads():
    """Yields templates: `{n}` is to be the number, and `must_fail` says that no reading of it is safe."""
    post = b"POST /m{n} HTTP/1.1\r\nHost: a\r\n"
    # A length that covers all of it, and one that ends where the chunks would.
    body = b"0\r\n\r\n" + CANARY
    early = b"5\r\n"
    for coding in TRANSFER_ENCODINGS:
        plain = coding == CHUNKED
        yield post + coding + b"\r\n\r\n" + body, False
        for order in (0, 1):
            for length in (b"{%d}" % len(body), b"5", b"0"):
                lines = [b"Content-Length: " + length, coding]
                yield post + b"\r\n".join(lines[::1 - 2 * order]) + b"\r\n\r\n" + body, plain
        lines = b"Content-Length: %d\r\n" % len(early)
        yield post + lines + coding + b"\r\n\r\n" + early + b"hello\r\n0\r\n\r\n" + CANARY, plain
        yield b"POST /m{n} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + coding + b"\r\n\r\n" + body, plain
        yield b"GET /m{n} HTTP/1.1\r\nHost: a\r\n" + coding + b"\r\n\r\n" + body, False
    for form in CONTENT_LENGTHS:
        many = form.count(b"%")
        for method in (b"POST", b"GET"):
            head = method + b" /m{n} HTTP/1.1\r\nHost: a\r\n"
            for length in ("all", 0, 5):
                lengths = "{%d}" % len(CANARY) if length == "all" else str(length)
                text = form
                for _ in range(many):
                    for verb in (b"%d", b"%x", b"%o"):
                        if verb in text:
                            text = text.replace(verb, lengths.encode(), 1)
                            break
                yield head + text + b"\r\n\r\n" + CANARY, False
    for chunks in CHUNKS:
        yield post + CHUNKED + b"\r\n\r\n" + chunks, False
        yield post + CHUNKED + b"\r\n\r\n" + chunks + CANARY, False
    for head in HEADS:
        yield head, False
        yield head + CANARY, False
    for head in BODIES:
        yield head.replace(b"{l}", b"{%d}" % len(CANARY)) + CANARY, False
        yield head.replace(b"{l}", b"0") + CANARY, False


def numbered():
    """(number, bytes, must_fail) of each; lengths in braces have grown with the number."""
    for number, (template, must_fail) in enumerate(payloads()):
        grown = len(str(number)) - len("{n}")
        data = template
        for length in (len(CANARY), len(b"0\r\n\r\n" + CANARY)):
            data = data.replace(b"{%d}" % length, str(length + grown).encode())
        yield number, data.replace(b"{n}", str(number).encode()), must_fail
