"""pymemcache, as it comes from PyPI, against `windlass memcached`: memcached_py.py PORT"""

import sys
import threading
from contextlib import closing

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

server = ("127.0.0.1", int(sys.argv[1]))


def check(client):
    client.flush_all()
    assert client.set("a", "1", noreply=False) and client.get("a") == b"1"
    assert not client.add("a", "2", noreply=False) and client.add("b", "2", noreply=False)
    assert client.replace("b", "3", noreply=False) and not client.replace("none", "3", noreply=False)
    assert client.append("b", "4", noreply=False) and client.prepend("b", "2", noreply=False)
    assert client.get("b") == b"234" and client.get("none", "default") == "default"
    assert client.incr("a", 5) == 6 and client.decr("a", 10) == 0 and client.incr("none", 1) is None
    value, cas = client.gets("b")
    assert value == b"234" and client.cas("b", "x", cas, noreply=False)
    assert client.cas("b", "y", cas, noreply=False) is False
    assert client.cas("none", "y", cas, noreply=False) is None
    assert client.touch("b", 100, noreply=False) and client.get("b") == b"x"
    assert client.delete("b", noreply=False) and not client.delete("b", noreply=False)
    many = {f"key{n}": "v" * n for n in range(1000)}
    assert client.set_many(many) == []
    assert client.get_many(many) == {key: value.encode() for key, value in many.items()}
    assert client.delete_many(many.keys()) and client.get_many(many) == {}
    client.set("gone", "x", expire=-1)
    assert client.get("gone") is None
    big = "x" * (1 << 20)
    assert client.set("big", big, noreply=False) and client.get("big") == big.encode()


def refused(client):
    try:
        client.set("big", "x" * ((1 << 20) + 1), noreply=False)
        raise AssertionError("a value over the limit")
    except MemcacheServerError as error:
        assert b"object too large for cache" in error.args[0], error
    assert client.get("big") is None
    client.set("text", "no number", noreply=False)
    try:
        client.incr("text", 1)
        raise AssertionError("text is no number")
    except MemcacheClientError as error:
        assert b"non-numeric" in error.args[0], error
    assert client.stats()[b"curr_items"] > 0 and client.version() == b"1.6.18"
    assert b"maxbytes" in client.stats("settings")


with closing(Client(server, timeout=20)) as client:
    check(client)
    refused(client)
with closing(HashClient([server], timeout=20)) as client:
    check(client)
pool = PooledClient(server, timeout=20, max_pool_size=4, serde=serde.pickle_serde)
failures = []


def counts(n):
    for value in range(200):
        pool.set(f"thread{n}", {"n": value}, noreply=False)
        if pool.get(f"thread{n}") != {"n": value}:
            failures.append(n)
        pool.incr("total", 1)


with closing(Client(server, timeout=20)) as client:
    client.set("total", "0", noreply=False)
threads = [threading.Thread(target=counts, args=[n]) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with closing(Client(server, timeout=20)) as client:
    assert not failures and int(client.get("total")) == 800, (failures, client.get("total"))
print("pymemcache is content")
