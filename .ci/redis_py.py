"""redis-py, as it comes from PyPI, against `windlass resp`: redis_py.py PORT"""

import sys
import threading
import time

import redis

port = int(sys.argv[1])


def check(client):
    client.flushall()
    assert client.ping()
    assert client.set("a", "1", ex=100) and client.get("a") == "1" and 0 < client.ttl("a") <= 100
    assert client.set("a", "2", nx=True) is None and client.set("a", "2", get=True) == "1"
    assert client.incr("n", 5) == 5 and client.decr("n") == 4 and client.incrbyfloat("f", 1.5) == 1.5
    assert client.mset({"x": "1", "y": "2"}) and client.mget("x", "y", "none") == ["1", "2", None]
    assert client.append("x", "23") == 3 and client.getrange("x", 0, 1) == "12"
    assert client.rpush("l", "a", "b", "c") == 3 and client.lrange("l", 0, -1) == ["a", "b", "c"]
    assert client.lpop("l") == "a" and client.lpop("l", 5) == ["b", "c"] and client.llen("l") == 0
    assert client.hset("h", mapping={"f": "v", "g": "w"}) == 2 and client.hgetall("h") == {"f": "v", "g": "w"}
    assert dict(client.hscan_iter("h")) == {"f": "v", "g": "w"}
    assert client.sadd("s", "a", "b") == 2 and client.smembers("s") == {"a", "b"} and client.sismember("s", "a")
    assert client.zadd("z", {"m": 1.5, "k": 2}) == 2 and client.zscore("z", "m") == 1.5
    scores = [(member, score) for member, score in client.zrange("z", 0, -1, withscores=True)]
    assert scores == [("m", 1.5), ("k", 2.0)], scores
    assert client.type("z") == "zset" and client.exists("z", "none") == 1
    assert sorted(client.scan_iter("[xy]")) == ["x", "y"] and sorted(client.keys("[xy]")) == ["x", "y"]
    assert client.rename("x", "xx") and client.delete("xx", "y") == 2

    pipe = client.pipeline(transaction=True)
    assert pipe.set("p", 1).incr("p").get("p").execute() == [True, 2, "2"]
    plain = client.pipeline(transaction=False)
    for n in range(1000):
        plain.set(f"k{n}", "v" * n)
    for n in range(1000):
        plain.strlen(f"k{n}")
    assert plain.execute() == [True] * 1000 + list(range(1000))
    client.transaction(lambda pipe: (pipe.get("p"), pipe.multi(), pipe.set("p", 7)), "p")
    assert client.get("p") == "7"
    with client.pipeline() as watched:
        watched.watch("p")
        client.set("p", 8)
        watched.multi()
        watched.get("p")
        try:
            watched.execute()
            raise AssertionError("a watched key had changed")
        except redis.WatchError:
            pass

    try:
        client.lpush("a", 1)
        raise AssertionError("a string is no list")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error)

    big = "x" * (4 << 20)
    assert client.set("big", big) and client.get("big") == big

    heard = client.pubsub()
    heard.subscribe("news")
    heard.psubscribe("n*")
    assert [heard.get_message(timeout=10)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
    publisher = threading.Thread(target=lambda: client.publish("news", "hello"))
    publisher.start()
    messages = sorted(heard.get_message(timeout=10)["type"] for _ in range(2))
    publisher.join()
    assert messages == ["message", "pmessage"], messages
    heard.close()

    assert client.info()["redis_version"] and client.config_get("maxmemory")["maxmemory"]
    assert client.command_count() > 100 and "get" in client.command()
    assert client.client_setname("me") and client.client_getname() == "me" and client.client_id() > 0
    assert any(entry["name"] == "me" for entry in client.client_list())
    assert client.dbsize() > 1000
    client.set("gone", 1, px=50)
    deadline = time.monotonic() + 20
    while client.exists("gone"):
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.01)


for protocol in (2, 3):
    check(redis.Redis(port=port, decode_responses=True, protocol=protocol, single_connection_client=True))
    check(redis.Redis(port=port, decode_responses=True, protocol=protocol))
print(f"redis-py {redis.__version__}: RESP2 and RESP3 work")
