"""pyenet, which is libenet in Python, against the example `enet_echo`: echo.py PORT [compression]

pyenet has no way to ask for checksums; `echo.c` has.
"""

import sys
import time

import enet

RELIABLE, UNRELIABLE, UNSEQUENCED, FRAGMENTS = range(4)
FLAGS = {
    RELIABLE: enet.PACKET_FLAG_RELIABLE,
    UNRELIABLE: 0,
    UNSEQUENCED: enet.PACKET_FLAG_UNSEQUENCED,
    FRAGMENTS: enet.PACKET_FLAG_UNRELIABLE_FRAGMENT,
}
LENS = {
    RELIABLE: [4 + n * 23 for n in range(60)] + [100_000] + [4 + n * 23 for n in range(60)],
    UNRELIABLE: [4 + n * 7 for n in range(100)],
    UNSEQUENCED: [4 + n * 9 for n in range(100)],
    FRAGMENTS: [20_000] * 5,
}
CODE = 0x5EED


def message(number, length):
    """No two are alike."""
    return number.to_bytes(4, "big") + bytes((at * 31 + number * 7 + (at >> 8)) & 255 for at in range(4, length))


def main():
    port, words = int(sys.argv[1]), sys.argv[2:]
    host = enet.Host(None, 1, 4, 0, 0)
    if "compression" in words:
        host.compress_with_range_coder()
    peer = host.connect(enet.Address(b"127.0.0.1", port), 4, CODE)
    event = host.service(10_000)
    assert event.type == enet.EVENT_TYPE_CONNECT, "not connected"
    # This end holds nothing back, however busy the machine is. The other end cannot be told so by pyenet; `echo.c` does.
    peer.packetThrottleDeceleration = 0
    sent = {channel: [message(n, length) for n, length in enumerate(LENS[channel])] for channel in LENS}
    came = {channel: [] for channel in LENS}

    def turn(wait):
        event = host.service(wait)
        while event.type == enet.EVENT_TYPE_RECEIVE:
            came[event.channelID].append(bytes(event.packet.data))
            event = host.service(0)
        assert event.type == enet.EVENT_TYPE_NONE, event.type

    for n in range(max(map(len, sent.values()))):
        for channel, messages in sent.items():
            if n < len(messages):
                assert peer.send(channel, enet.Packet(messages[n], FLAGS[channel])) == 0
        turn(2)
    deadline, grace = time.monotonic() + 60, time.monotonic() + 0.5
    while len(came[RELIABLE]) < len(sent[RELIABLE]) or time.monotonic() < grace:
        assert time.monotonic() < deadline, f"not in time: {len(came[RELIABLE])} of {len(sent[RELIABLE])}"
        turn(5)
    assert came[RELIABLE] == sent[RELIABLE], "what is reliable comes as it was sent, in order"
    for channel in (UNRELIABLE, UNSEQUENCED, FRAGMENTS):
        numbers = [int.from_bytes(it[:4], "big") for it in came[channel]]
        assert all(it == sent[channel][n] for n, it in zip(numbers, came[channel])), f"channel {channel}: bytes"
        assert len(set(numbers)) == len(numbers), f"channel {channel}: nothing comes twice"
        assert channel == UNSEQUENCED or numbers == sorted(numbers), f"channel {channel}: order"
        assert 2 * len(numbers) >= len(sent[channel]), f"channel {channel}: only {len(numbers)} came"
    peer.disconnect(CODE)
    event = host.service(10_000)
    assert event.type == enet.EVENT_TYPE_DISCONNECT, "the other end has not let go"
    counts = " ".join(f"{len(came[channel])}/{len(sent[channel])}" for channel in sent)
    print(f"pyenet ({' and '.join(words) or 'plain'}): back came {counts}")


main()
