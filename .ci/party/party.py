"""Clients that nobody here wrote, in one room of the arena: party.py WINDLASS FOLDER

Two tabs of Chromium (keys, and thumbs on a screen of a phone's size), tungstenite over WebSocket, and over ENet libenet in C,
pyenet and rusty_enet. Each reads what it is sent with code of its own, walks around, and tells what it sees behind each tick
and the hash of that. All must see all of them move, and must come to the same hash behind the same tick; and so must the
record of the match, when `windlass game replay` plays it again.

FOLDER has the programs (`player`, `party-ws`, `party-enet`). Who is missing is told, and is not at the party.
"""

import collections
import http.client
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import page

HERE = pathlib.Path(__file__).parent
WAIT = 90
# How many ticks all of them must have in common: as many seconds as a thirtieth of it.
COMMON = 150
# What runs in a page before its own code does: the page reads, and tells what it has read.
SCRIPT = """
import("/wire.js").then(({ Snapshots, hash }) => {
  const read = Snapshots.prototype.read;
  Snapshots.prototype.read = function (tick, bytes) {
    const view = read.call(this, tick, bytes);
    if (view) tell(`tick ${tick} ${hash(view)} ` + [...view.entities].map(([id, its]) => `${id}:${its}`).join(" "));
    return view;
  };
});
"""


class Guest:
    """Somebody at the party, and what they have told."""

    def __init__(self, name):
        self.name, self.seat, self.names = name, None, {}
        self.hashes, self.places, self.now, self.shots = {}, collections.defaultdict(set), {}, collections.Counter()
        self.last_tick, self.said_bye = 0, False

    def hear(self, line):
        word, *rest = line.split()
        if word == "tick":
            tick, entities = int(rest[0]), {}
            for entity in rest[2:]:
                seat, fields = entity.split(":")
                entities[int(seat)] = tuple(map(int, fields.split(",")))
            self.hashes[tick] = (rest[1], frozenset(entities))
            for seat, fields in entities.items():
                self.places[seat].add(fields[:2])
            self.now, self.last_tick = entities, tick
        elif word == "seat":
            self.seat = int(rest[0])
        elif word == "name":
            self.names[int(rest[0])] = " ".join(rest[1:])
        elif word == "shot":
            self.shots[int(rest[0])] += 1
        elif word == "bye":
            self.said_bye = True

    def own(self):
        return self.now.get(self.seat)


class Program(Guest):
    """One that is a program of its own, which ends when its input does."""

    def __init__(self, name, command):
        super().__init__(name)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=lambda: [self.hear(line) for line in self.process.stdout], daemon=True)
        self.thread.start()

    def is_well(self):
        return self.process.poll() is None

    def leave(self):
        self.process.stdin.close()
        self.thread.join(WAIT)
        assert self.process.wait(WAIT) == 0 and self.said_bye, f"{self.name} has not left in peace"


KEYS = {1: "KeyW", 2: "KeyS", 4: "KeyA", 8: "KeyD"}
RING = [(4100, 3200), (3836, 3836), (3200, 4100), (2564, 3836), (2300, 3200), (2564, 2564), (3200, 2300), (3836, 2564)]


class Page(Guest):
    """A tab of the arena, whose player is led around by keys or by a thumb."""

    def __init__(self, name, browser, url, mobile):
        super().__init__(name)
        self.mobile, self.down, self.thumb, self.over = mobile, set(), None, threading.Event()
        self.goal, self.still, self.last, self.aside, self.tries, self.paused = None, 0, None, 0, 0, threading.Event()
        self.tab = page.Tab(browser, SCRIPT, self.hear)
        if mobile:
            self.tab.size(390, 844, scale=2, mobile=True)
        else:
            self.tab.size(1280, 800)
        self.tab.open(url)

    def enter(self, room):
        tab = self.tab
        tab.until("document.querySelector('#play') && !document.querySelector('#play').disabled")
        tab.eval(f"document.querySelector('#name').value = {json.dumps(self.name)}")
        its = f"[...document.querySelectorAll('#rooms li')].find((it) => it.textContent.startsWith({json.dumps(room)}))"
        tab.until(its)
        tab.eval(f"{its}.querySelector('button').id = 'join'")
        (tab.tap if self.mobile else tab.click)("#join")
        self.settle()

    def settle(self):
        self.tab.until("document.querySelector('#door').hidden")
        self.seat = self.tab.eval("JSON.parse(sessionStorage.getItem('seat')).seat")

    def walk(self):
        """On a thread of its own: where to next, twenty times a second."""
        while not self.over.wait(0.05):
            if self.paused.is_set() or not self.own():
                continue
            self.press(self.buttons(*self.own()[:2]))
        self.press(0)

    def buttons(self, x, y):
        def far(place):
            return (place[0] - x) ** 2 + (place[1] - y) ** 2

        nearest = min(range(len(RING)), key=lambda n: far(RING[n]))
        if self.goal is None or far(RING[self.goal]) > 2_000**2:
            self.goal = nearest
        elif far(RING[self.goal]) < 150**2:
            self.goal = (self.goal + 1) % len(RING)
        self.still = self.still + 1 if (x, y) == self.last else 0
        self.last = (x, y)
        if self.still > 10:
            self.still, self.aside, self.tries = 0, 12, self.tries + 1
        if self.aside:
            self.aside -= 1
            return [8, 1, 4, 2][self.tries % 4]
        dx, dy = RING[self.goal][0] - x, RING[self.goal][1] - y
        return (4 if dx < -60 else 8 if dx > 60 else 0) | (1 if dy < -60 else 2 if dy > 60 else 0)

    def press(self, buttons):
        if self.mobile:
            across, along = (buttons >> 3 & 1) - (buttons >> 2 & 1), (buttons >> 1 & 1) - (buttons & 1)
            thumb = (110 + 60 * across, 640 + 60 * along)
            if self.thumb is None:
                self.tab.touch("touchStart", {1: (110, 640)})
            if thumb != self.thumb:
                self.tab.touch("touchMove", {1: thumb})
                self.thumb = thumb
            return
        wanted = {key for bit, key in KEYS.items() if buttons & bit}
        for key in self.down - wanted:
            self.tab.key("keyUp", key)
        for key in wanted - self.down:
            self.tab.key("rawKeyDown", key)
        self.down = wanted

    def is_well(self):
        return True

    def begin(self):
        self.over.clear()
        self.thread = threading.Thread(target=self.walk, daemon=True)
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join()

    def leave(self):
        self.stop()
        self.tab.key("rawKeyDown", "Escape")
        self.tab.until("!document.querySelector('#door').hidden")


class Server:
    def __init__(self, windlass, records):
        self.windlass, self.records = windlass, records
        command = [windlass, "game", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--workers", "2", "--record", records, "-q"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = (line.removeprefix("Listening on ").strip() for line in self.process.stdout)
        self.at = next(line for line in lines if not line.startswith("udp:"))
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def ask(self, method, path, wish=None):
        connection = http.client.HTTPConnection(self.at, timeout=WAIT)
        connection.request(method, path, wish and json.dumps(wish), {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200, f"{path}: {answer.status} {told}"
        return told

    def stop(self):
        self.process.terminate()
        assert self.process.wait(WAIT) == 0, "the server has not stopped well"

    def replayed(self):
        """What was behind each tick, by the record: how many were there, and the hash."""
        [record] = pathlib.Path(self.records).iterdir()
        told = subprocess.run([self.windlass, "game", "replay", "--ticks", record], stdout=subprocess.PIPE, text=True)
        assert told.returncode == 0, "the record does not come to the same end"
        lines = [line.split() for line in told.stdout.splitlines()]
        return {int(line[0]): (line[2], int(line[1])) for line in lines if len(line) == 3 and len(line[2]) == 16}


def skip(what):
    print(f"SKIPPED: {what}", flush=True)


def until(is_so, guests, what):
    deadline = time.monotonic() + WAIT
    while not is_so():
        for guest in guests:
            assert guest.is_well(), f"{guest.name} has left the party"
        told = ", ".join(f"{it.name} sees {sorted(it.now)} in {it.last_tick}" for it in guests)
        assert time.monotonic() < deadline, f"not in time: {what}; {told}"
        time.sleep(0.05)


def agree(guests, seats, since, what):
    """Waits until all of them have seen so many ticks with all seats since `since`, and holds their hashes against each
    other. The hashes, by tick."""

    def common():
        def whole(guest):
            return {tick for tick, (_, seen) in list(guest.hashes.items()) if tick > since and seen == seats}

        return set.intersection(*map(whole, guests))

    until(lambda: len(common()) >= COMMON, guests, f"{COMMON} ticks in common, {what}")
    ticks, agreed = common(), {}
    for tick in sorted(ticks):
        hashes = {guest.name: guest.hashes[tick][0] for guest in guests}
        assert len(set(hashes.values())) == 1, f"behind tick {tick} they are not of one mind: {hashes}"
        agreed[tick] = next(iter(hashes.values()))
    assert len(set(agreed.values())) > COMMON // 3, "they agree, but on the same thing all the time"
    print(f"{what}: {len(guests)} agree behind {len(ticks)} ticks, on {len(set(agreed.values()))} states", flush=True)
    return agreed


def touched(phone, others, pictures):
    """The phone's player does what fingers say, and a second hand shoots."""
    tab = phone.tab
    for name, (dx, dy), axis, sign in [("right", (60, 0), 0, 1), ("left", (-60, 0), 0, -1), ("down", (0, 60), 1, 1)]:
        before = phone.own()
        tab.touch("touchStart", {1: (110, 640)})
        tab.touch("touchMove", {1: (110 + dx, 640 + dy)})
        until(lambda: (phone.own()[axis] - before[axis]) * sign > 60, [], f"the thumb goes {name}, and so does the player")
        if name == "right":
            # Both thumbs: it goes right, aims left, and shoots.
            tab.touch("touchStart", {1: (170, 640), 2: (290, 640)})
            tab.touch("touchMove", {1: (170, 640), 2: (240, 640)})
            until(lambda: 120 <= phone.own()[2] <= 136, [], "the right thumb aims")
            watcher = others[0]
            shots = watcher.shots[phone.seat]
            until(lambda: watcher.shots[phone.seat] > shots, [], f"{watcher.name} sees the phone shoot")
            tab.shot(pictures / "arena-phone-thumbs.png")
        tab.touch("touchEnd", {})
    dash = tab.place("#dash")
    tab.touch("touchStart", {3: dash})
    until(lambda: phone.own()[4] > 0, [], "a tap on the button dashes")
    tab.touch("touchEnd", {})
    phone.thumb = None
    print("touch: moves, aims, shoots, dashes", flush=True)


def killed(phone, guests, seats):
    """The phone's tab dies, is loaded anew, and has the same seat."""
    seat, watcher = phone.seat, next(guest for guest in guests if guest is not phone)
    phone.stop()
    phone.tab.crash()
    assert phone.tab.crashed.wait(WAIT), "the tab lives on"
    phone.now = {}
    until(lambda: seat not in watcher.now, guests, "its player is away")
    phone.tab.call("Page.reload")
    phone.settle()
    assert phone.seat == seat, f"it was in seat {seat}, and is in {phone.seat}"
    phone.thumb = None
    phone.begin()
    until(lambda: phone.own() and frozenset(watcher.now) == seats, guests, "its player is back")
    print(f"the tab was killed, and is back in seat {seat}", flush=True)


def invite(server, room, folder, browser):
    """Who is here, on their way to the room."""

    def seat(name):
        return server.ask("POST", "/api/rooms/join", {"room": room, "name": name})

    native = [
        ("tungstenite", "ws", [folder / "party-ws"]),
        ("libenet", "udp", [folder / "player"]),
        ("rusty_enet", "udp", [folder / "party-enet"]),
        ("pyenet", "udp", [sys.executable, HERE / "player.py"]),
    ]
    guests = []
    for name, way, command in native:
        if not pathlib.Path(command[-1]).exists() or (name == "pyenet" and not importlib.util.find_spec("enet")):
            skip(f"{name} is not here, and not at the party")
            continue
        its = seat(name)
        if way == "ws":
            where = [server.at, its["path"]]
        else:
            # Without a host it is that of the server.
            where = [its["udp"].get("host", "127.0.0.1"), str(its["udp"]["port"]), its["ticket"]]
        guests.append(Program(name, [*map(str, command), *where]))
    if browser is None:
        skip("no chromium: no browser is at the party")
        return guests, None
    desk = Page("Desk", browser, f"http://{server.at}/", mobile=False)
    phone = Page("Phone", browser, f"http://{server.at}/", mobile=True)
    for guest in (desk, phone):
        guest.enter(room)
        guest.begin()
    return guests + [desk, phone], phone


def main():
    windlass, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    pictures = folder.parent / "screenshots"
    records = tempfile.mkdtemp(prefix="party-records-")
    server, browser, guests = Server(windlass, records), None, []
    try:
        browser = page.Browser() if page.program() else None
        # The seat that comes with it is taken by nobody, and given away in time.
        room = server.ask("POST", "/api/rooms/create", {"kind": "arena", "name": "nobody"})["room"]
        guests, phone = invite(server, room, folder, browser)
        assert len(guests) > 1, "nobody is here to agree with"
        until(lambda: all(guest.seat is not None for guest in guests), guests, "everybody has a seat")
        seats = frozenset(guest.seat for guest in guests)
        assert len(seats) == len(guests), "a seat for each"
        until(lambda: all(frozenset(guest.now) == seats for guest in guests), guests, "everybody sees everybody")
        agreed = agree(guests, seats, 0, "at first")
        for guest in guests:
            for other in guests:
                moves = len(guest.places[other.seat])
                assert moves > 30, f"{guest.name} has seen {other.name} at {moves} places only"
            if guest.names:
                names = {other.seat: other.name for other in guests}
                assert guest.names == names, f"{guest.name} knows {guest.names} instead of {names}"
        if phone:
            for guest in guests[-2:]:
                guest.tab.shot(pictures / f"arena-{guest.name.lower()}.png")
            phone.stop()
            phone.tab.touch("touchEnd", {})
            phone.thumb = None
            touched(phone, [guest for guest in guests if isinstance(guest, Program)], pictures)
            phone.begin()
            killed(phone, guests, seats)
            agreed |= agree(guests, seats, max(guest.last_tick for guest in guests), "when the tab is back")
            for guest in guests[-2:]:
                assert not guest.tab.complaints, f"the page of {guest.name}: {guest.tab.complaints}"
        for guest in guests:
            guest.leave()
    finally:
        for guest in guests:
            if isinstance(guest, Program) and guest.is_well():
                guest.process.kill()
        if browser:
            browser.close()
        server.stop()
    replayed = server.replayed()
    for tick, state in agreed.items():
        assert replayed[tick] == (state, len(seats)), f"behind tick {tick} the room had {replayed[tick]}, and they {state}"
    shutil.rmtree(records)
    print(f"the party: {', '.join(guest.name for guest in guests)}; the record has the same {len(agreed)} states")


main()
