//! A page predicts its own player over a network that loses, delays, reorders and repeats, from seeds: once its inputs stop,
//! page and server agree.
//!
//! The page's own code plays (`predict.js`, `wire.js`, `rules.js`, in node), a millisecond at a time, against a room here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{arena, rules};
use crate::random::Random;
use crate::room::{Guest, Seat};
use crate::stage::Stage;

/// Times in milliseconds.
const PERIOD: u64 = 33;
const PLAYED: u64 = 12_000;
const SETTLED: u64 = 2_500;

/// How a network treats what it carries.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Per mille.
    lost: u64,
    repeated: u64,
    delay: u64,
    /// As much earlier or later, so that what was sent later may come earlier.
    jitter: u64,
    /// Server ticks left out, per mille of them.
    skipped: u64,
}

/// One direction: what arrives when.
#[derive(Default)]
struct Relay {
    under_way: BTreeMap<(u64, u64), Vec<u8>>,
    sent: u64,
    lost: u64,
    reordered: u64,
    newest: u64,
}

impl Relay {
    fn send(&mut self, now: u64, bytes: &[u8], weather: Weather, random: &mut Random) {
        let copies = 1 + u64::from(random.below(1_000) < weather.repeated);
        for _ in 0..copies {
            self.sent += 1;
            if random.below(1_000) < weather.lost {
                self.lost += 1;
                continue;
            }
            let delay = weather.delay - weather.jitter + random.below(2 * weather.jitter + 1);
            self.under_way.insert((now + delay, self.sent), bytes.to_vec());
        }
    }

    fn arrive(&mut self, now: u64) -> Vec<Vec<u8>> {
        let later = self.under_way.split_off(&(now + 1, 0));
        let arrived = std::mem::replace(&mut self.under_way, later);
        for (_, nth) in arrived.keys() {
            self.reordered += u64::from(*nth < self.newest);
            self.newest = self.newest.max(*nth);
        }
        arrived.into_values().collect()
    }
}

/// A page, without its canvas.
struct Page {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Page {
    fn start() -> Option<Page> {
        if Command::new("node").arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no node to run the page's code in");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("windlass-predict-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["rules.js", "wire.js", "predict.js"] {
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/arena/page").join(name);
            // What is `/rules.js` on the server is beside it here.
            let text =
                std::fs::read_to_string(page).unwrap().replace("from \"/rules.js\"", "from \"./rules.mjs\"");
            std::fs::write(folder.join(name.replace(".js", ".mjs")), text).unwrap();
        }
        std::fs::write(folder.join("rules.json"), rules::json()).unwrap();
        std::fs::write(folder.join("page.mjs"), PAGE).unwrap();
        let mut child = Command::new("node")
            .arg("page.mjs")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Page { child, to, from: BufReader::new(from), folder })
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.to, "{line}").unwrap();
        self.to.flush().unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the page has ended at {line:.80}");
        answer.trim_end().to_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Where the server has a player: x, y, aim, dash.
fn place(stage: &mut Stage, eyes: &mut super::Eyes) -> [i32; 4] {
    // Somebody who watches, over no network at all.
    let [x, y, aim, _, dash, _] = eyes.look(stage, Seat(16), 0).expect("it is there");
    [x, y, aim, dash]
}

struct Outcome {
    corrected: u64,
    lost: u64,
    reordered: u64,
    moved: bool,
}

fn play(page: &mut Page, seed: u64, weather: Weather) -> Outcome {
    let mut random = Random::new(seed);
    let mut stage = arena(seed);
    stage.join(Seat(0), &Guest::named("page")).unwrap();
    stage.join(Seat(16), &Guest::named("eyes")).unwrap();
    let mut eyes = super::Eyes::new();
    let (mut up, mut down) = (Relay::default(), Relay::default());
    let (mut n, mut hold, mut begun) = (0, (0, 0), None);
    page.ask("new");
    let mut belief = String::new();
    for now in 0..PLAYED + SETTLED {
        for message in up.arrive(now) {
            stage.received(Seat(0), &message).unwrap();
        }
        for message in down.arrive(now) {
            belief = page.ask(&format!("hear {}", hex(&message)));
        }
        if now % PERIOD == 0 {
            n += 1;
            if random.below(1_000) >= weather.skipped {
                stage.tick(n);
                let message = stage.tell(Seat(0));
                down.send(now, &message, weather, &mut random);
                let there = place(&mut stage, &mut eyes);
                begun.get_or_insert(there);
            }
        }
        // The page's own beat is somewhere between those of the server.
        if now % PERIOD == seed % PERIOD {
            if now < PLAYED && random.below(10) == 0 {
                hold = (random.next_u64() as u8 & 0x1f, random.next_u64() as u8);
            }
            let buttons = if now < PLAYED { hold.0 } else { 0 };
            let (said, seen) = (page.ask(&format!("press {buttons} {} {n}", hold.1)), now);
            up.send(seen, &bytes(&said), weather, &mut random);
        }
    }
    // The last word is the server's, and it has arrived.
    let there = place(&mut stage, &mut eyes);
    let [x, y, aim, dash] = there;
    let corrected = belief.rsplit(' ').next().unwrap().parse().unwrap();
    let (believed, _) = belief.rsplit_once(' ').unwrap();
    assert_eq!(believed, format!("{x} {y} {aim} {dash}"), "seed {seed}, {weather:?}");
    Outcome {
        corrected,
        lost: up.lost + down.lost,
        reordered: up.reordered + down.reordered,
        moved: begun.is_some_and(|begun| begun[..2] != there[..2]),
    }
}

#[test]
fn page_and_server_agree_once_inputs_stop_whatever_the_network_does() {
    let Some(mut page) = Page::start() else { return };
    let fine = Weather { lost: 0, repeated: 0, delay: 40, jitter: 0, skipped: 0 };
    let seeds = if cfg!(debug_assertions) { 3 } else { 20 };
    for seed in 0..seeds {
        // On a network that only delays, nothing that is predicted turns out wrong.
        let outcome = play(&mut page, seed, fine);
        assert_eq!((outcome.corrected, outcome.lost, outcome.moved), (0, 0, true), "seed {seed}");
    }
    let mut all = [0; 3];
    let weathers = [
        Weather { lost: 30, repeated: 10, delay: 100, jitter: 30, ..fine },
        Weather { lost: 50, repeated: 50, delay: 100, jitter: 90, ..fine },
        Weather { lost: 300, delay: 150, jitter: 60, skipped: 20, ..fine },
    ];
    for seed in 0..seeds {
        for weather in weathers {
            let outcome = play(&mut page, seed, weather);
            assert!(outcome.moved && outcome.lost > 0, "seed {seed}: {weather:?}");
            for (sum, n) in all.iter_mut().zip([outcome.corrected, outcome.lost, outcome.reordered]) {
                *sum += n;
            }
        }
    }
    assert!(all.iter().all(|n| *n > 10), "corrected, lost, reordered: {all:?}");
}

const PAGE: &str = r#"
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Prediction } from "./predict.mjs";
import { Snapshots, saying, told, widen } from "./wire.mjs";
const rules = JSON.parse(readFileSync("rules.json", "utf8"));
let it;
const said = ({ x, y, aim, dash } = {}) => `${x} ${y} ${aim} ${dash}`;
for await (const line of createInterface({ input: process.stdin })) {
  const [order, ...rest] = line.split(" ");
  if (order === "new") {
    it = { own: new Prediction(rules), snapshots: new Snapshots(), tick: 0, confirmed: null, corrected: 0 };
    console.log("ready");
  } else if (order === "hear") {
    const { head, pieces } = told(new Uint8Array(rest[0].match(/../g).map((byte) => parseInt(byte, 16))).buffer);
    it.tick = widen(it.tick, head.tick);
    const done = widen(it.own.next, head.input);
    for (const { tag, body } of pieces) {
      const view = tag === 4 ? it.snapshots.read(it.tick, body) : null;
      if (!view) continue;
      it.confirmed = view.tick;
      const before = it.own.body ? said(it.own.body) : null;
      it.own.take(view.tick, view.entities.get(0), done);
      if (before !== null && before !== said(it.own.body)) it.corrected++;
    }
    console.log(`${said(it.own.body ?? {})} ${it.corrected}`);
  } else {
    const [buttons, aim, seen] = rest.map(Number);
    it.own.press(buttons, aim, seen & 0xffff, 0);
    const newest = it.own.newest();
    const message = saying(newest[0].tick, newest.map((input) => input.bytes), it.confirmed);
    it.confirmed = null;
    console.log([...message].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
}
"#;
