"""A player of the arena over pyenet, which is libenet in Python: player.py HOST PORT TICKET

It reads snapshots, walks around the middle, and tells what it sees, until its input ends. Written from the pages of the book
about what players send, as are its likes in C and Rust.
"""

import collections
import sys
import threading
import time

import enet

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
# Bits of each field, and of a short difference.
FIELDS = [(13, 6), (13, 6), (8, 5), (2, 2), (5, 2), (10, 6)]
# Places around the middle from where all see each other, with a free way from each to the next.
RING = [(4100, 3200), (3836, 3836), (3200, 4100), (2564, 3836), (2300, 3200), (2564, 2564), (3200, 2300), (3836, 2564)]
FAREWELL = bytes([6, 0])
HEARD = 1000


def say(line):
    print(line, flush=True)


class Bits:
    def __init__(self, octets):
        self.bits, self.left = int.from_bytes(octets, "little"), 8 * len(octets)

    def take(self, count):
        assert count <= self.left, "a snapshot ends too soon"
        value = self.bits & ((1 << count) - 1)
        self.bits >>= count
        self.left -= count
        return value


def read(views, tick, body):
    """The entities behind a tick; none if what it stands on is not here."""
    baseline = {}
    if body[0]:
        if tick - body[0] not in views:
            return None
        baseline = views[tick - body[0]]
    bits, view = Bits(body[1:]), {}
    for name in sorted(baseline):
        fields = baseline[name]
        if not bits.take(1):
            view[name] = fields
        elif not bits.take(1):
            now = []
            for was, (size, small) in zip(fields, FIELDS):
                if not bits.take(1):
                    now.append(was)
                elif bits.take(1):
                    now.append(bits.take(size))
                else:
                    now.append((was + bits.take(small) - (1 << (small - 1))) % (1 << size))
            view[name] = now
    while bits.take(1):
        name = bits.take(16)
        view[name] = [bits.take(size) for size, _ in FIELDS]
    views[tick] = view
    while len(views) > 64:
        views.popitem(last=False)
    return view


def state_hash(view):
    """FNV-1a of names and fields, each as eight bytes."""
    value = 0xCBF29CE484222325
    for name in sorted(view):
        for number in [name, *view[name]]:
            for octet in number.to_bytes(8, "little"):
                value = (value ^ octet) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def pieces(rest):
    while rest:
        tag, at, length, shift = rest[0], 1, 0, 0
        while True:
            length |= (rest[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if rest[at - 1] < 0x80:
                break
        assert at + length <= len(rest), "a message ends too soon"
        yield tag, rest[at : at + length]
        rest = rest[at + length :]


class Walk:
    def __init__(self):
        self.goal, self.last, self.still, self.aside, self.tries = None, None, 0, 0, 0

    def buttons(self, x, y):
        def far(place):
            return (place[0] - x) ** 2 + (place[1] - y) ** 2

        nearest = min(range(len(RING)), key=lambda n: far(RING[n]))
        if self.goal is None or far(RING[self.goal]) > 2_000**2:
            self.goal = nearest
        elif far(RING[self.goal]) < 60**2:
            self.goal = (self.goal + 1) % len(RING)
        self.still = self.still + 1 if (x, y) == self.last else 0
        self.last = (x, y)
        if self.still > 8:
            # Something stands in the way: aside for a while, each time elsewhere.
            self.still, self.aside, self.tries = 0, 20, self.tries + 1
        if self.aside:
            self.aside -= 1
            return [RIGHT, UP, LEFT, DOWN][self.tries % 4]
        dx, dy = RING[self.goal][0] - x, RING[self.goal][1] - y
        across = LEFT if dx < -30 else RIGHT if dx > 30 else 0
        return across | (UP if dy < -30 else DOWN if dy > 30 else 0)


class Player:
    def __init__(self):
        self.seat, self.tick, self.newest = None, 0, 0
        self.views, self.inputs, self.walk = collections.OrderedDict(), [], Walk()

    def hear(self, message):
        """What the room has said, and what is said to that."""
        ahead = (int.from_bytes(message[:2], "little") - self.tick) & 0xFFFF
        # Datagrams overtake each other.
        tick = max(0, self.tick + ahead - (0x10000 if ahead >= 0x8000 else 0))
        self.tick = max(self.tick, tick)
        came, view = None, None
        for tag, body in pieces(message[5:]):
            if tag == 0:
                self.seat = int.from_bytes(body[:2], "little")
                self.tick = tick = int.from_bytes(body[5:13], "little")
                say(f"seat {self.seat}")
            elif tag == 2 and body[0] == 1:
                say(f"shot {body[1]}")
            elif tag == 3 and body[0] == 3:
                say(f"name {body[1]} {body[4:].decode()}")
            elif tag == 4:
                view = read(self.views, tick, body)
                if view is not None:
                    came = tick
                    places = " ".join(f"{name}:{','.join(map(str, view[name]))}" for name in sorted(view))
                    say(f"tick {tick} {state_hash(view):016x} {places}")
            elif tag == 5:
                raise SystemExit(f"the seat has ended: {body.decode()}")
        if came is None:
            return None
        own = view.get(self.seat)
        buttons = self.walk.buttons(*own[:2]) if own else 0
        self.newest += 1
        self.inputs = [bytes([buttons, 0, tick & 255, tick >> 8 & 255]), *self.inputs[:2]]
        inputs = self.newest.to_bytes(4, "little") + b"".join(varint(len(it)) + it for it in self.inputs)
        return bytes([4]) + varint(len(inputs)) + inputs + bytes([5, 2, came & 255, came >> 8 & 255])


def main():
    address, port, ticket = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    host = enet.Host(None, 1, 3, 0, 0)
    peer = host.connect(enet.Address(address.encode(), port), 3)
    player, leaving = Player(), None
    while True:
        event = host.service(5)
        if event.type == enet.EVENT_TYPE_CONNECT:
            peer.send(0, enet.Packet(ticket.encode(), enet.PACKET_FLAG_RELIABLE))
        elif event.type == enet.EVENT_TYPE_RECEIVE:
            said = player.hear(bytes(event.packet.data))
            if said and leaving is None:
                peer.send(1, enet.Packet(said, 0))
        elif event.type == enet.EVENT_TYPE_DISCONNECT:
            assert leaving and event.data == HEARD, f"the server has ended it: {event.data}"
            return say("bye")
        if leaving is None and over.is_set():
            peer.send(0, enet.Packet(FAREWELL, enet.PACKET_FLAG_RELIABLE))
            leaving = time.monotonic()
        assert leaving is None or time.monotonic() < leaving + 10, "the farewell is not heard"


main()
