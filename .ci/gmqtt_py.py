"""gmqtt, as it comes from PyPI, against `windlass hub`: gmqtt_py.py PORT

Both versions over TCP: every QoS, retained, wills, shared subscriptions, sessions that go on.
"""

import asyncio
import sys

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

port = int(sys.argv[1])
WAIT = 10


class Device:
    """One client, and what it has heard."""

    def __init__(self, name, version, clean=True, will=None):
        self.version = version
        more = {"session_expiry_interval": 1000} if version == MQTTv50 and not clean else {}
        self.client = gmqtt.Client(name, clean_session=clean, will_message=will, **more)
        self.client.set_config({"reconnect_retries": 0})
        self.heard, self.acks, self.present = asyncio.Queue(), asyncio.Queue(), None
        self.client.on_connect = self.connected
        self.client.on_message = self.message
        self.client.on_subscribe = lambda client, mid, qos, properties: self.acks.put_nowait(qos)

    def connected(self, client, flags, result, properties):
        self.present = bool(flags & 1)

    def message(self, client, topic, payload, qos, properties):
        self.heard.put_nowait((topic, payload, qos, bool(properties["retain"])))
        return 0

    async def connect(self):
        await self.client.connect("127.0.0.1", port, keepalive=60, version=self.version)
        return self

    async def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos=qos)
        granted = await asyncio.wait_for(self.acks.get(), WAIT)
        assert tuple(granted) == (qos,), granted

    async def next(self):
        return await asyncio.wait_for(self.heard.get(), WAIT)

    async def leave(self):
        await self.client.disconnect()

    def vanish(self):
        self.client._connection._transport.abort()


async def check(version):
    tag = f"g{version}"
    sender, receiver = await Device(f"s{tag}", version).connect(), await Device(f"r{tag}", version).connect()
    await receiver.subscribe(f"{tag}/#", 2)
    for qos in (0, 1, 2):
        for size in (0, 1, 100, 70_000):
            sender.client.publish(f"{tag}/a", b"x" * size, qos=qos)
            topic, payload, got, retain = await receiver.next()
            assert (len(payload), got, retain) == (size, qos, False), (topic, len(payload), got, retain)
    for n in range(15):
        sender.client.publish(f"{tag}/order", str(n), qos=1)
    assert [int((await receiver.next())[1]) for n in range(15)] == list(range(15))

    sender.client.publish(f"{tag}/kept", "on", qos=1, retain=True)
    await receiver.next()
    late = await Device(f"l{tag}", version).connect()
    await late.subscribe(f"{tag}/kept", 1)
    assert (await late.next())[1:] == (b"on", 1, True)
    sender.client.publish(f"{tag}/kept", "", qos=1, retain=True)
    await late.leave()

    away = await Device(f"away{tag}", version, clean=False).connect()
    assert not away.present
    await away.subscribe(f"{tag}/away", 2)
    await away.leave()
    for n in range(20):
        sender.client.publish(f"{tag}/away", str(n), qos=1 + n % 2)
        await asyncio.sleep(0.01)
    away = await Device(f"away{tag}", version, clean=False).connect()
    assert away.present
    got = sorted([int((await away.next())[1]) for _ in range(20)])
    assert got == list(range(20)), got
    await away.leave()

    watcher = await Device(f"w{tag}", version).connect()
    await watcher.subscribe(f"gone/{tag}", 1)
    doomed = await Device(f"d{tag}", version, will=gmqtt.Message(f"gone/{tag}", "gone", qos=1)).connect()
    doomed.vanish()
    assert (await watcher.next())[1] == b"gone"

    members = [await Device(f"m{n}{tag}", version).connect() for n in range(3)]
    for member in members:
        await member.subscribe(f"$share/g/{tag}/work", 1)
    for n in range(30):
        sender.client.publish(f"{tag}/work", str(n), qos=1)
        await asyncio.sleep(0.005)
    got = [int((await member.next())[1]) for member in members for _ in range(10)]
    assert sorted(got) == list(range(30)), got
    for device in [*members, watcher, sender, receiver]:
        await device.leave()


async def main():
    for version in (MQTTv311, MQTTv50):
        await check(version)
    print("gmqtt: both versions over TCP")


asyncio.run(asyncio.wait_for(main(), 120))
