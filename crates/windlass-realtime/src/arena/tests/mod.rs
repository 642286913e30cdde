//! The arena's rules hold, shots look back, matches replay, and a page's code comes to the same. What a page predicts
//! is in `predict`.

mod predict;

use std::fmt::Write as _;
use std::process::Command;

use super::*;
use crate::outbox::Free;
use crate::random::Random;
use crate::record::Recorder;
use crate::stage::{Stage, StageSpec};
use crate::wire::{Told, told};
use crate::{SnapshotReader, replay};

fn spec(seed: u64) -> StageSpec {
    StageSpec { seed, hz: 30, players_max: 16, spectators_max: 2 }
}

fn arena(seed: u64) -> Stage {
    Stage::new(Box::new(Arena::default()), spec(seed))
}

#[test]
fn directions_are_where_they_should_be() {
    for direction in 0..=255u8 {
        let angle = f64::from(direction) / 256.0 * std::f64::consts::TAU;
        assert!((f64::from(rules::cos(direction)) - angle.cos() * 4_096.0).abs() < 0.51);
        assert!((f64::from(rules::sin(direction)) - angle.sin() * 4_096.0).abs() < 0.51);
        assert_eq!(rules::direction(rules::cos(direction), rules::sin(direction)), direction);
    }
}

#[test]
fn nobody_gets_into_a_wall_or_out_of_the_arena_or_moves_too_far() {
    let mut random = Random::new(1);
    let mut body = Body { x: 3_200, y: 2_000, aim: 0, dash: 0 };
    let mut dashes = 0;
    for _ in 0..200_000 {
        let before = body;
        body.step(random.next_u64() as u8, random.next_u64() as u8);
        assert!(!rules::blocked(body.x, body.y), "{body:?}");
        assert!((RADIUS..=SIDE - RADIUS).contains(&body.x) && (RADIUS..=SIDE - RADIUS).contains(&body.y));
        let most = if body.is_dashing() { 75 } else { 27 };
        assert!((body.x - before.x).abs() <= most && (body.y - before.y).abs() <= most);
        dashes += u32::from(body.dash == rules::DASH_EVERY);
    }
    assert!(dashes <= 200_000 / u32::from(rules::DASH_EVERY) && dashes > 1_000, "{dashes}");
}

#[test]
fn walls_stop_shots_and_players_do_too() {
    // From the left of the wall in the middle.
    assert_eq!(rules::reach(2_500, 3_200, 0), 300);
    assert_eq!(rules::reach(2_500, 3_200, 128), 2_500);
    assert_eq!(rules::reach(3_200, 4_000, 0), RANGE, "nothing stands there");
    assert_eq!(rules::hit((0, 0), 0, (500, 0)), Some(500));
    assert_eq!(rules::hit((0, 0), 0, (500, RADIUS)), Some(500));
    assert_eq!(rules::hit((0, 0), 0, (500, RADIUS + 1)), None);
    assert_eq!(rules::hit((0, 0), 0, (-500, 0)), None, "behind");
    assert_eq!(rules::hit((0, 0), 64, (0, 700)), Some(700));
}

/// Puts players where a test wants them: the spawn is drawn.
fn duel(places: &[(i32, i32)]) -> Arena {
    let mut arena = Arena::default();
    for &(x, y) in places {
        let body = Body { x, y, ..Body::default() };
        let name = String::new();
        arena.players.push(Some(Player {
            name,
            body,
            health: HEALTH,
            score: 0,
            shot: 0,
            back_at: None,
            here: true,
        }));
    }
    arena
}

/// A room around an arena that a test has prepared, whose players stand until they move.
fn stage_of(arena: Arena) -> Stage {
    struct Prepared(Arena);
    impl Room for Prepared {
        fn join(&mut self, _: &mut Play<'_>, _: Seat, _: &Guest) -> Result<(), Reject> {
            Ok(())
        }
        fn input(&mut self, play: &mut Play<'_>, seat: Seat, tick: u32, input: &[u8]) {
            self.0.input(play, seat, tick, input);
        }
        fn tick(&mut self, play: &mut Play<'_>, n: u64) {
            self.0.tick(play, n);
        }
        fn schema(&self) -> Option<Schema> {
            self.0.schema()
        }
        fn frame(&self, frame: &mut Frame) {
            self.0.frame(frame);
        }
    }
    let seats = arena.players.len() as u16;
    let mut stage = Stage::new(Box::new(Prepared(arena)), spec(5));
    (0..seats).for_each(|seat| stage.join(Seat(seat), &Guest::default()).unwrap());
    stage
}

struct Eyes {
    reader: SnapshotReader,
    told: Vec<Vec<u8>>,
}

impl Eyes {
    fn new() -> Eyes {
        Eyes { reader: SnapshotReader::new(Arena::schema()), told: Vec::new() }
    }

    /// What a seat is told behind a tick; the fields of one entity then.
    fn look(&mut self, stage: &mut Stage, seat: Seat, of: u16) -> Option<[i32; 6]> {
        let mut out = vec![0; 5];
        stage.pack(seat, 100_000, Free::ALL, false, &mut out);
        let (_, pieces) = told(&out).unwrap();
        let mut fields = None;
        for piece in pieces {
            match piece.unwrap() {
                Told::Snapshot(bytes) => {
                    let view = self.reader.read(stage.now(), bytes).unwrap();
                    fields = view.field(of, 0).map(|_| std::array::from_fn(|n| view.field(of, n).unwrap()));
                    stage.confirm(seat, stage.now() as u16);
                }
                Told::Message(_, bytes) => self.told.push(bytes.to_vec()),
                _ => {}
            }
        }
        fields
    }
}

fn input(stage: &mut Stage, seat: u16, n: u32, buttons: u8, aim: u8, seen: u64) {
    let [low, high] = (seen as u16).to_le_bytes();
    stage.input(Seat(seat), n, &[buttons, aim, low, high]);
}

#[test]
fn three_hits_bring_somebody_down_and_count_and_they_come_back() {
    let arena = duel(&[(500, 4_000), (1_100, 4_000)]);
    let mut stage = stage_of(arena);
    let mut eyes = Eyes::new();
    let (mut down_at, mut back_at) = (None, None);
    for n in 1..=120u64 {
        let aims = if down_at.is_none() { SHOOT } else { 0 };
        input(&mut stage, 0, n as u32, aims, 0, n);
        stage.tick(n);
        let other = eyes.look(&mut stage, Seat(0), 1).unwrap();
        if other[3] == 0 && down_at.is_none() {
            down_at = Some(n);
        }
        if down_at.is_some() && back_at.is_none() && other[3] == 3 {
            back_at = Some(n);
        }
    }
    // The first shot finds no frame to look back to.
    assert_eq!((down_at, back_at), (Some(31), Some(30 + RESPAWN_TICKS)));
    assert_eq!(eyes.look(&mut stage, Seat(0), 0).map(|own| own[5]), Some(1));
    let shots = eyes.told.iter().filter(|it| it[0] == SHOT);
    assert_eq!(shots.clone().count(), 4);
    assert_eq!(shots.filter(|it| it[9] == 1).count(), 3);
    assert_eq!(eyes.told.iter().filter(|it| it[..] == [DOWN, 0, 1, 1, 0]).count(), 1);
}

#[test]
fn who_aims_at_what_they_see_hits_and_not_further_back_than_a_quarter_of_a_second() {
    // The other walks down past the line of fire; the shot names the tick in which they stood in it.
    for (behind, hits) in [(0, true), (5, true), (7, true), (12, false)] {
        let arena = duel(&[(500, 4_000), (1_100, 4_000)]);
        let mut stage = stage_of(arena);
        let mut eyes = Eyes::new();
        // Out of the line after three inputs, and ever further.
        let start = 10u64;
        let ticks = start + behind + 3;
        for n in 1..=ticks {
            if n > start {
                input(&mut stage, 1, n as u32, rules::DOWN, 0, n);
            }
            if n == ticks {
                input(&mut stage, 0, n as u32, SHOOT, 0, n - behind - 2);
            }
            stage.tick(n);
            eyes.look(&mut stage, Seat(0), 1);
        }
        let hit = eyes.told.iter().any(|it| it[0] == SHOT && it[9] == 1);
        assert_eq!(hit, hits, "{behind} ticks ago: {:?}", eyes.told);
    }
}

#[test]
fn everybody_knows_who_is_there() {
    let mut stage = arena(3);
    stage.join(Seat(0), &Guest::named("ann")).unwrap();
    stage.join(Seat(4), &Guest::named("")).unwrap();
    stage.tick(1);
    let (mut first, mut second) = (Eyes::new(), Eyes::new());
    first.look(&mut stage, Seat(0), 0);
    second.look(&mut stage, Seat(4), 0);
    assert_eq!(first.told, [named(0, 0, "ann"), named(4, 0, "player 5")]);
    assert_eq!(second.told, [named(0, 0, "ann"), named(4, 0, "player 5")]);
    stage.leave(Seat(0), Leave::Left);
    second.look(&mut stage, Seat(4), 0);
    assert_eq!(second.told.last(), Some(&vec![GONE, 0]));
}

/// A match of sixteen who do anything at all.
fn free_for_all(stage: &mut Stage, ticks: u64, mut each: impl FnMut(&mut Stage, u64)) {
    let mut random = Random::new(8);
    let mut holding = [(0u8, 0u8); 16];
    for n in 1..=ticks {
        for seat in 0..16u16 {
            let hold = &mut holding[usize::from(seat)];
            if random.below(12) == 0 {
                *hold = (random.next_u64() as u8 & 0x3f, random.next_u64() as u8);
            }
            hold.1 = hold.1.wrapping_add(random.below(3) as u8);
            input(stage, seat, n as u32, hold.0, hold.1, n.saturating_sub(3));
        }
        stage.tick(n);
        each(stage, n);
    }
}

#[test]
fn a_match_replays_to_the_same_hash() {
    let recorder = Recorder::new("arena", b"{}", &spec(77));
    let bounds = crate::outbox::Bounds { reliable_max: 100_000, fleeting_max: 100_000 };
    let mut stage = Stage::with(Box::new(Arena::default()), spec(77), bounds, Some(recorder));
    (0..16).for_each(|seat| stage.join(Seat(seat), &Guest::named("x")).unwrap());
    free_for_all(&mut stage, 3_000, |stage, n| {
        if n.is_multiple_of(200) {
            stage.away(Seat(3));
        } else if n % 200 == 30 {
            stage.back(Seat(3));
        }
    });
    let before = stage.hash();
    let hash = stage.close();
    assert_ne!(before, hash, "who leaves is not there");
    let record = stage.recorder().unwrap().take();
    let replayed = replay(&record, |kind, _| (kind == "arena").then(|| Arena::kind().make(b""))).unwrap();
    assert_eq!((replayed.hash, replayed.whole, replayed.ticks), (hash, true, 3_000));
}

/// What one player is sent in a second, with the headers of WebSocket, TCP (timestamps, as is usual) and IPv4.
#[test]
fn sixteen_who_move_cost_a_player_no_more_than_four_kilobytes_a_second() {
    let mut stage = arena(9);
    (0..16).for_each(|seat| stage.join(Seat(seat), &Guest::named("mover")).unwrap());
    let (mut bytes, mut messages) = (0, 0);
    let mut random = Random::new(2);
    let mut holding = [(0u8, 0u8); 16];
    for n in 1..=900u64 {
        for seat in 0..16u16 {
            let hold = &mut holding[usize::from(seat)];
            if random.below(15) == 0 {
                // All of them move, and turn as a hand does.
                *hold = ([1, 2, 4, 8, 5, 6, 9, 10][random.below(8) as usize], hold.1);
            }
            hold.1 = hold.1.wrapping_add(random.between(-4, 4) as u8);
            input(&mut stage, seat, n as u32, hold.0, hold.1, n);
        }
        stage.tick(n);
        for seat in 0..16 {
            let mut out = vec![0; 5];
            stage.pack(Seat(seat), 100_000, Free::ALL, false, &mut out);
            // Confirmations come some ticks later, as over a network with a round trip of 100 ms.
            if n > 3 {
                stage.confirm(Seat(seat), (n - 3) as u16);
            }
            if n > 30 {
                let frame = if out.len() < 126 { 2 } else { 4 };
                bytes += out.len() + frame + 20 + 32;
                messages += 1;
            }
        }
    }
    let per_second = bytes as f64 / messages as f64 * 30.0;
    assert!(per_second <= 4_000.0, "{per_second:.0} bytes a second");
    assert!(per_second >= 1_000.0, "{per_second:.0}: they did not move");
}

/// What a page would compute: `rules.js` and `wire.js` in node, against what is computed here.
#[test]
fn the_page_comes_to_the_same() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no node to run the page's code in");
        return;
    }
    let folder = std::env::temp_dir().join(format!("windlass-arena-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["rules.js", "wire.js"] {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/arena/page").join(name);
        std::fs::copy(page, folder.join(name.replace(".js", ".mjs"))).unwrap();
    }
    std::fs::write(folder.join("rules.json"), rules::json()).unwrap();
    let mut random = Random::new(12);
    let mut steps = String::new();
    let mut body = Body { x: 900, y: 900, aim: 0, dash: 0 };
    for _ in 0..4_000 {
        let (buttons, aim) = (random.next_u64() as u8 & 0x3f, random.next_u64() as u8);
        body.step(buttons, aim);
        let Body { x, y, aim, dash } = body;
        let _ = writeln!(steps, "{buttons} {aim} {x} {y} {dash}");
    }
    std::fs::write(folder.join("steps.txt"), steps).unwrap();

    let mut stage = arena(31);
    (0..16).for_each(|seat| stage.join(Seat(seat), &Guest::named("x")).unwrap());
    let mut reader = SnapshotReader::new(Arena::schema());
    let mut messages = String::new();
    free_for_all(&mut stage, 400, |stage, n| {
        let mut out = Vec::new();
        crate::wire::Head { tick: n as u16, input: 7, age_ms: 9 }.put(&mut out);
        stage.pack(Seat(2), 100_000, Free::ALL, false, &mut out);
        let lost = n % 5 == 0;
        if !lost {
            for piece in told(&out).unwrap().1 {
                let Ok(Told::Snapshot(bytes)) = piece else { continue };
                let view = reader.read(n, bytes).unwrap();
                let hex = out.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                let seen: Vec<_> = view
                    .ids()
                    .iter()
                    .map(|&id| (id, (0..6).map(|field| view.field(id, field).unwrap()).collect::<Vec<_>>()))
                    .collect();
                let (seen, hash) = (serde_json::to_string(&seen).unwrap(), view.hash());
                let _ = writeln!(messages, "{n} {hex} {seen} {hash:016x}");
            }
            stage.confirm(Seat(2), n as u16);
        }
    });
    std::fs::write(folder.join("messages.txt"), messages).unwrap();
    std::fs::write(folder.join("check.mjs"), CHECK).unwrap();
    let output = Command::new("node").arg("check.mjs").current_dir(&folder).output().unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.trim() == "4000 steps, 320 snapshots", "{told}");
}

const CHECK: &str = r#"
import { readFileSync } from "node:fs";
import { step } from "./rules.mjs";
import { Snapshots, hash, saying, told, widen } from "./wire.mjs";
const rules = JSON.parse(readFileSync("rules.json", "utf8"));
const lines = (name) => readFileSync(name, "utf8").trim().split("\n");
const same = (a, b, what) => { if (a !== b) throw new Error(`${what}: ${a} is not ${b}`); };
let steps = 0, read = 0;
const body = { x: 900, y: 900, aim: 0, dash: 0 };
for (const line of lines("steps.txt")) {
  const [buttons, aim, x, y, dash] = line.split(" ").map(Number);
  step(rules, body, buttons, aim);
  same([body.x, body.y, body.dash].join(), [x, y, dash].join(), `step ${++steps}`);
}
const snapshots = new Snapshots();
for (const line of lines("messages.txt")) {
  const [tick, hex, seen, hashed] = line.split(" ");
  const { head, pieces } = told(new Uint8Array(hex.match(/../g).map((byte) => parseInt(byte, 16))).buffer);
  same([head.tick, head.input, head.age].join(), [tick, 7, 9].join(), "head");
  const view = snapshots.read(Number(tick), pieces.find(({ tag }) => tag === 4).body);
  same(JSON.stringify([...view.entities]), seen, `tick ${tick}`);
  same(hash(view), hashed, `the hash of tick ${tick}`);
  read++;
}
same(widen(65530, 4), 65540, "widen");
same([...saying(258, [[1, 2], []], 513)].join(), [4, 8, 2, 1, 0, 0, 2, 1, 2, 0, 5, 2, 1, 2].join(), "saying");
console.log(`${steps} steps, ${read} snapshots`);
"#;
