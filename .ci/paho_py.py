"""paho-mqtt, as it comes from PyPI, against `windlass hub`: paho_py.py PORT

Both versions over TCP and WebSocket: every QoS, retained, wills, shared subscriptions, sessions that go on.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

port = int(sys.argv[1])
WAIT = 10


class Device:
    def __init__(self, name, version, transport, clean=True, will=None):
        kept = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.version, self.clean = version, clean
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, transport=transport, **kept
        )
        self.heard, self.acks, self.connected = queue.Queue(), queue.Queue(), queue.Queue()
        self.client.on_message = lambda client, data, message: self.heard.put(message)
        self.client.on_subscribe = lambda client, data, mid, reasons, properties: self.acks.put(reasons)
        self.client.on_connect = lambda client, data, flags, reason, properties: self.connected.put((flags, reason))
        if will:
            self.client.will_set(*will)
        self.connect()

    def connect(self):
        more = {}
        if self.version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if self.clean else 1000
            more = {"clean_start": self.clean, "properties": properties}
        self.client.connect("127.0.0.1", port, keepalive=60, **more)
        self.client.loop_start()
        flags, reason = self.connected.get(timeout=WAIT)
        assert reason == 0, reason
        self.present = flags.session_present

    def subscribe(self, filter, qos):
        self.client.subscribe(filter, qos)
        reasons = self.acks.get(timeout=WAIT)
        assert all(reason.value == qos for reason in reasons), reasons

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        info = self.client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(WAIT)
        assert info.is_published()

    def next(self):
        return self.heard.get(timeout=WAIT)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        self.client.loop_stop()
        self.client._sock_close()


def check(version, transport):
    tag = f"{version}{transport}"
    sender, receiver = Device(f"s{tag}", version, transport), Device(f"r{tag}", version, transport)
    receiver.subscribe(f"{tag}/#", 2)
    for qos in (0, 1, 2):
        for size in (0, 1, 100, 70_000):
            sender.publish(f"{tag}/a", b"x" * size, qos)
            message = receiver.next()
            assert (message.qos, len(message.payload), message.retain) == (qos, size, False), message
    for n in range(300):
        sender.publish(f"{tag}/order", str(n), n % 3)
    by_qos = {0: [], 1: [], 2: []}
    for _ in range(300):
        message = receiver.next()
        by_qos[message.qos].append(int(message.payload))
    assert all(numbers == list(range(qos, 300, 3)) for qos, numbers in by_qos.items()), by_qos

    sender.publish(f"{tag}/kept", "on", 1, retain=True)
    receiver.next()
    late = Device(f"l{tag}", version, transport)
    late.subscribe(f"{tag}/kept", 1)
    message = late.next()
    assert (message.payload, message.retain, message.qos) == (b"on", True, 1)
    sender.publish(f"{tag}/kept", None, retain=True)
    late.leave()

    away = Device(f"away{tag}", version, transport, clean=False)
    assert not away.present
    away.subscribe(f"{tag}/away", 2)
    away.leave()
    for n in range(50):
        sender.publish(f"{tag}/away", str(n), 1 + n % 2)
    away.connect()
    assert away.present
    got = [int(away.next().payload) for _ in range(50)]
    assert sorted(got) == list(range(50)), got
    away.leave()

    watcher = Device(f"w{tag}", version, transport)
    watcher.subscribe(f"gone/{tag}", 1)
    doomed = Device(f"d{tag}", version, transport, will=(f"gone/{tag}", "gone", 1, False))
    doomed.vanish()
    assert watcher.next().payload == b"gone"

    members = [Device(f"m{n}{tag}", version, transport) for n in range(3)]
    for member in members:
        member.subscribe(f"$share/g/{tag}/work", 1)
    for n in range(90):
        sender.publish(f"{tag}/work", str(n), 1)
    got = []
    for member in members:
        for _ in range(30):
            got.append(int(member.next().payload))
    assert sorted(got) == list(range(90)), got
    for device in [*members, watcher, sender, receiver]:
        device.leave()


def check_five(transport):
    one = Device(f"five{transport}", mqtt.MQTTv5, transport)
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.SubscriptionIdentifier = 7
    options = SubscribeOptions(qos=1, noLocal=False, retainAsPublished=True)
    one.client.subscribe([(f"five{transport}/+", options)], properties=properties)
    one.acks.get(timeout=WAIT)
    said = Properties(PacketTypes.PUBLISH)
    said.ResponseTopic, said.CorrelationData, said.ContentType = "answers", b"\x00\x01", "text"
    said.MessageExpiryInterval, said.UserProperty = 60, [("a", "1"), ("a", "2")]
    one.publish(f"five{transport}/a", "x", 1, True, said)
    message = one.next()
    got = message.properties
    assert (got.ResponseTopic, got.CorrelationData, got.ContentType) == ("answers", b"\x00\x01", "text")
    assert got.UserProperty == [("a", "1"), ("a", "2")] and got.SubscriptionIdentifier == [7]
    # What it has waited for in between is taken off.
    assert 60 - WAIT <= got.MessageExpiryInterval <= 60 and message.retain
    one.publish(f"five{transport}/a", None, 0, True)
    one.leave()


for transport in ("tcp", "websockets"):
    for version in (mqtt.MQTTv311, mqtt.MQTTv5):
        check(version, transport)
    check_five(transport)
print("paho-mqtt: both versions over TCP and WebSocket")
