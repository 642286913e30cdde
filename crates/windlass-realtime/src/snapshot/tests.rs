//! What is written of a frame is what is read, whatever was lost on the way.

use super::{
    Baseline, Eye, Field, Frame, History, Saw, Schema, Shared, Shown, SnapshotError, SnapshotReader, View,
    write, write_few,
};
use crate::Random;
use crate::spare::Spare;

fn schema() -> Schema {
    Schema::new([Field::new(-1_000, 4, 12).small(5), Field::new(-1_000, 4, 12), Field::new(0, 1, 8).small(4)])
        .cell(100)
}

fn contents(view: &View) -> Vec<(u16, Vec<i32>)> {
    view.ids().iter().map(|&id| (id, (0..3).map(|field| view.field(id, field).unwrap()).collect())).collect()
}

/// What `seen` of a frame looks like behind quantisation.
fn expected(frame: &Frame, seen: &[u16]) -> Vec<(u16, Vec<i32>)> {
    let fields = frame.fields().to_vec();
    let of = |id: u16| {
        let mut row = frame.values_at(frame.find(id).unwrap());
        fields.iter().map(|field| field.value(field.take(&mut row))).collect()
    };
    seen.iter().map(|&id| (id, of(id))).collect()
}

#[test]
fn quantised_values_are_no_further_off_than_a_step() {
    let field = Field::new(-100, 3, 7);
    for value in -100..=281 {
        let back = field.value(field.quantise(value));
        assert!((0..3).contains(&(value - back)), "{value} became {back}");
    }
    assert_eq!(field.value(field.quantise(i32::MIN)), -100);
    assert_eq!(field.value(field.quantise(i32::MAX)), -100 + 127 * 3);
    let wide = Field::new(i32::MIN, 1, 32);
    for value in [i32::MIN, -1, 0, i32::MAX] {
        assert_eq!(wide.value(wide.quantise(value)), value);
    }
}

#[test]
fn a_short_difference_is_the_way_back_and_wraps_around() {
    for (bits, small) in [(8, 4), (8, 8), (1, 1), (32, 6), (32, 32)] {
        let field = Field::new(0, 1, bits).small(small);
        let top = (1u64 << bits) - 1;
        for (from, to) in [(0, top), (top, 0), (top / 2, top / 2 + 1), (7 & top, 0), (0, 1)] {
            let (from, to) = (from as u32, to as u32);
            if let Some(short) = field.short(from, to) {
                assert!(u64::from(short) < 1 << small);
                assert_eq!(field.add_short(from, short), to);
            }
        }
    }
    let angle = Field::new(0, 1, 8).small(4);
    assert!(angle.short(255, 3).is_some());
    assert!(angle.short(0, 100).is_none());
}

/// Frames that move, some entities coming and going.
fn play(random: &mut Random, frame: &mut Frame, entities: u16) {
    for id in 0..entities {
        if random.below(5) > 0 {
            let place = (random.between(-900, 900), random.between(-900, 900));
            let old = random.below(3) == 0;
            let values = if old { [0, 0, i32::from(id)] } else { [place.0, place.1, random.between(0, 255)] };
            frame.put(id * 7, place, &values);
        }
    }
}

#[test]
fn what_is_lost_on_the_way_changes_nothing_of_what_comes() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut history = History::new(schema(), 30);
        let (mut shown, mut reader) = (Shown::default(), SnapshotReader::new(schema()));
        let (mut shared, mut spare) = (Shared::default(), Spare::default());
        let mut whole = 0;
        for tick in 1..400u64 {
            // More than there are bits in what is remembered of a frame, in every other round.
            history.add(tick, |frame| play(&mut random, frame, if seed % 2 == 0 { 20 } else { 90 }));
            let eye = match random.below(3) {
                0 => Eye::All,
                _ => Eye::Near { x: random.between(-900, 900), y: random.between(-900, 900), radius: 500 },
            };
            let mut seen = Vec::new();
            let newest = history.newest_mut().unwrap();
            newest.sort();
            newest.seen(eye, &mut seen);
            let frame = history.newest().unwrap();
            let ids = if eye == Eye::All { frame.ids() } else { &seen };
            let mut known = Vec::new();
            let baseline = shown.baseline().and_then(|(tick, saw)| {
                let old = history.at(tick)?;
                Some(Baseline { frame: old, ids: saw.names(old, &mut known) })
            });
            whole += u32::from(baseline.is_none());
            let mut out = Vec::new();
            write(frame, ids, baseline, &mut shared, &mut out);
            let saw = if eye == Eye::All { Saw::ALL } else { Saw::of(frame, &seen, &mut spare) };
            shown.show(&history, saw, &mut spare);
            if random.below(4) == 0 {
                continue;
            }
            let view = reader.read(tick, &out).unwrap();
            assert_eq!(contents(view), expected(frame, ids), "seed {seed}, tick {tick}");
            let sees_all = ids == frame.ids();
            assert_eq!(view.hash() == frame.hash(), sees_all, "seed {seed}, tick {tick}");
            if random.below(3) > 0 {
                shown.confirm(tick as u16, &mut spare);
            }
        }
        assert!(whole < 40, "most of them stand on a baseline: {whole}");
    }
}

#[test]
fn a_message_that_comes_again_and_again_pushes_out_nothing() {
    let mut history = History::new(schema(), 60);
    let mut reader = SnapshotReader::new(schema());
    let mut random = Random::new(3);
    let mut said = |history: &mut History, n: u64, on: Option<u64>| {
        history.add(n, |frame| play(&mut random, frame, 20));
        let frame = history.newest().unwrap();
        let baseline = on.map(|on| {
            let frame = history.at(on).unwrap();
            Baseline { frame, ids: frame.ids() }
        });
        let mut bytes = Vec::new();
        write(frame, frame.ids(), baseline, &mut Shared::default(), &mut bytes);
        bytes
    };
    let first = said(&mut history, 1, None);
    reader.read(1, &first).unwrap();
    let second = said(&mut history, 2, Some(1));
    for _ in 0..500 {
        reader.read(2, &second).unwrap();
    }
    let third = said(&mut history, 3, Some(1));
    assert!(reader.read(3, &third).is_ok());
}

#[test]
fn a_hash_is_of_names_and_of_every_field_and_of_nothing_else() {
    let of = |tick, id, values: &[i32; 3]| {
        let mut frame = Frame::new(&schema());
        frame.begin(tick);
        frame.put(id, (values[0], 7), values);
        frame.hash()
    };
    let hash = of(1, 5, &[4, 8, 3]);
    assert_eq!(hash, of(2, 5, &[4, 8, 3]));
    assert_eq!(hash, of(1, 5, &[7, 8, 3]), "as exact as clients are told");
    for other in [of(1, 6, &[4, 8, 3]), of(1, 5, &[8, 8, 3]), of(1, 5, &[4, 12, 3]), of(1, 5, &[4, 8, 4])] {
        assert_ne!(hash, other);
    }
    // For those who write a client: names and fields as numbers of eight bytes, FNV-1a.
    let mut hasher = crate::Hasher::new();
    [5, 4, 8, 3].iter().for_each(|&number| _ = hasher.add(number));
    assert_eq!((hash, hash), (hasher.finish(), 0x6146_3a41_cdd9_fd0f));
}

#[test]
fn nothing_moves_and_nothing_is_said() {
    let schema = schema();
    let (mut one, mut two) = (Frame::new(&schema), Frame::new(&schema));
    for (tick, frame) in [(1, &mut one), (2, &mut two)] {
        frame.begin(tick);
        (0..16).for_each(|id| frame.put(id, (0, 0), &[1, 2, 3]));
    }
    let mut out = Vec::new();
    write(&two, two.ids(), Some(Baseline { frame: &one, ids: one.ids() }), &mut Shared::default(), &mut out);
    // The offset, a bit for each, and one for the end.
    assert_eq!(out.len(), 1 + 3);
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut random = Random::new(5);
    let mut reader = SnapshotReader::new(schema());
    let (mut good, mut bad) = (0, 0);
    for tick in 1..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next_u64() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first %= 3;
        }
        match reader.read(tick, &bytes) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
    assert_eq!(reader.read(3, &[4, 0]), Err(SnapshotError::NoBaseline));
    assert_eq!(reader.read(30_000, &[]), Err(SnapshotError::Short));
}

#[test]
fn those_near_a_place_are_found_wherever_the_cells_lie() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut frame = Frame::new(&schema().cell(random.between(1, 700)));
        frame.begin(1);
        for id in 0..60 {
            let place = (random.between(-1_000, 1_000), random.between(-1_000, 1_000));
            frame.put(random.below(500) as u16 + id, place, &[]);
        }
        frame.sort();
        let (x, y) = (random.between(-1_200, 1_200), random.between(-1_200, 1_200));
        let radius = random.between(0, 900);
        let near = |&id: &u16| {
            let (ex, ey) = frame.place(id).unwrap();
            (ex - x).pow(2) + (ey - y).pow(2) <= radius.pow(2)
        };
        let expected: Vec<u16> = frame.ids().iter().copied().filter(near).collect();
        let mut seen = Vec::new();
        frame.seen(Eye::Near { x, y, radius }, &mut seen);
        assert_eq!(seen, expected, "seed {seed}");
        frame.names(frame.seen_of_few(Eye::Near { x, y, radius }).unwrap(), &mut seen);
        assert_eq!(seen, expected, "seed {seed}, as bits");
    }
}

#[test]
fn places_at_the_ends_of_numbers_do_not_overflow() {
    let mut frame = Frame::new(&schema().cell(1));
    frame.begin(1);
    for (id, x) in [i32::MIN, 0, i32::MAX].into_iter().enumerate() {
        frame.put(id as u16, (x, x), &[x, x, x]);
    }
    frame.sort();
    for x in [i32::MIN, 0, i32::MAX] {
        let mut seen = Vec::new();
        frame.seen(Eye::Near { x, y: x, radius: i32::MAX }, &mut seen);
        assert!(!seen.is_empty());
        let mut few = Vec::new();
        frame.names(frame.seen_of_few(Eye::Near { x, y: x, radius: i32::MAX }).unwrap(), &mut few);
        assert_eq!(few, seen);
    }
}

#[test]
fn the_past_ends_after_a_quarter_of_a_second() {
    let mut history = History::new(schema(), 60);
    assert!(history.past(1).is_none());
    // Ticks 50 to 54 were skipped.
    for tick in (1..=100).filter(|tick| !(50..55).contains(tick)) {
        history.add(tick, |frame| frame.put(1, (tick as i32, 0), &[]));
    }
    let place = |tick| history.past(tick).unwrap().place(1).unwrap().0;
    assert_eq!((place(100), place(200), place(93), place(85)), (100, 100, 93, 85));
    assert_eq!((place(84), place(1)), (85, 85));
    let mut sparse = History::new(schema(), 60);
    [10, 90].into_iter().for_each(|tick| sparse.add(tick, |_| {}));
    assert_eq!(sparse.past(85).map(Frame::tick), Some(90), "what is too old is not shown instead");
}

#[test]
fn what_seats_share_is_what_each_would_be_written_alone() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut history = History::new(schema(), 30);
        let mut shared = Shared::default();
        for tick in 1..60 {
            history.add(tick, |frame| play(&mut random, frame, 20));
            history.newest_mut().unwrap().sort();
            // More baselines than are kept, and none.
            for _ in 0..12 {
                let frame = history.newest().unwrap();
                let near =
                    |random: &mut Random| Eye::Near { x: random.between(-900, 900), y: 0, radius: 700 };
                let mut seen = Vec::new();
                frame.seen(near(&mut random), &mut seen);
                let old = tick.checked_sub(random.below(7)).and_then(|tick| history.at(tick));
                let old = old.filter(|old| old.tick() < tick);
                // Some of them: only the newest knows who is near.
                let saw: Vec<u16> =
                    old.map_or(&[][..], Frame::ids).iter().copied().filter(|_| random.below(3) > 0).collect();
                let baseline = old.map(|old| Baseline { frame: old, ids: &saw });
                let (mut alone, mut together) = (Vec::new(), Vec::new());
                write(frame, &seen, baseline, &mut Shared::default(), &mut alone);
                write(frame, &seen, baseline, &mut shared, &mut together);
                assert_eq!(alone, together, "seed {seed}, tick {tick}");
            }
        }
    }
}

#[test]
fn few_are_written_as_many_would_be() {
    for count in [0, 1, 16, 63, 64, 65] {
        let mut random = Random::new(count);
        let mut history = History::new(schema(), 30);
        let (mut shared, mut names) = (Shared::default(), Shared::default());
        for tick in 1..40 {
            history.add(tick, |frame| {
                for id in 0..count {
                    let x = random.between(-900, 900);
                    let turn = if random.below(2) == 0 { 0 } else { random.between(0, 255) };
                    frame.put(3 * id as u16, (x, 0), &[x, 0, turn]);
                }
            });
            let frame = history.newest().unwrap();
            let Some(few) = frame.few() else {
                assert!(count > 64 && frame.seen_of_few(Eye::All).is_none());
                continue;
            };
            assert_eq!((few.count_ones().into(), frame.seen_of_few(Eye::All)), (count, Some(few)));
            for back in 1..tick.min(7) {
                let old = history.at(tick - back).unwrap();
                let (seen, known) = (random.next_u64() & few, random.next_u64() & few);
                let [mut ids, mut knew] = [Vec::new(), Vec::new()];
                frame.names(seen, &mut ids);
                old.names(known, &mut knew);
                let baseline = Some(Baseline { frame: old, ids: &knew });
                let (mut bits, mut expected) = (Vec::new(), Vec::new());
                write_few(frame, seen, old, known, &mut shared, &mut bits);
                write(frame, &ids, baseline, &mut names, &mut expected);
                assert_eq!(bits, expected, "{count} entities, tick {tick}, {back} back");
            }
        }
    }
}

#[test]
fn a_frame_is_found_whatever_was_skipped() {
    let mut history = History::new(schema(), 60);
    let ticks: Vec<u64> = (1..200).filter(|tick| tick % 11 != 0 && !(150..160).contains(tick)).collect();
    for &tick in &ticks {
        history.add(tick, |_| {});
    }
    let kept = &ticks[ticks.len() - 60..];
    for tick in 0..210 {
        let expected = kept.contains(&tick).then_some(tick);
        assert_eq!(history.at(tick).map(Frame::tick), expected);
    }
}

#[test]
fn a_baseline_stays_as_long_as_its_frame() {
    let (mut shown, mut spare) = (Shown::default(), Spare::default());
    let mut history = History::new(schema(), 60);
    let show = |history: &mut History, shown: &mut Shown, tick| {
        history.add(tick, |frame| (0..3).for_each(|id| frame.put(id, (0, 0), &[])));
        let saw = Saw::of(history.newest().unwrap(), &[1], &mut Spare::default());
        shown.show(history, saw, &mut Spare::default());
    };
    show(&mut history, &mut shown, 1);
    shown.confirm(7, &mut spare);
    assert!(shown.baseline().is_none(), "it was never shown");
    shown.confirm(1, &mut spare);
    (2..=60).for_each(|tick| show(&mut history, &mut shown, tick));
    assert_eq!(shown.baseline(), Some((1, &Saw::Bits(0b10))));
    (61..200).for_each(|tick| show(&mut history, &mut shown, tick));
    assert_eq!(shown.baseline(), None, "its frame is gone");
    shown.confirm(2, &mut spare);
    assert_eq!(shown.baseline(), None, "that one is forgotten");
    shown.confirm(199, &mut spare);
    assert_eq!(shown.baseline(), Some((199, &Saw::Bits(0b10))));
    shown.confirm(1, &mut spare);
    assert_eq!(shown.baseline().unwrap().0, 199, "no way back");
}

#[test]
fn a_seat_stands_on_a_baseline_if_it_is_no_more_than_a_second_away() {
    for (hz, away) in [(20, 19), (30, 25), (60, 55), (128, 120), (240, 220)] {
        let (mut history, mut shared) = (History::new(schema(), hz), Shared::default());
        let (mut shown, mut spare) = (Shown::default(), Spare::default());
        let mut reader = SnapshotReader::new(schema());
        let mut random = Random::new(hz.into());
        let mut under_way = std::collections::VecDeque::new();
        let mut whole = Vec::new();
        for tick in 1..=4 * u64::from(hz) {
            history.add(tick, |frame| play(&mut random, frame, 20));
            let (frame, mut known, mut out) = (history.newest().unwrap(), Vec::new(), Vec::new());
            let baseline = shown.baseline().and_then(|(tick, saw)| {
                let old = history.at(tick)?;
                Some(Baseline { frame: old, ids: saw.names(old, &mut known) })
            });
            if baseline.is_none() {
                whole.push(tick);
            }
            write(frame, frame.ids(), baseline, &mut shared, &mut out);
            assert!(reader.read(tick, &out).is_ok(), "{hz} Hz, tick {tick}");
            shown.show(&history, Saw::ALL, &mut spare);
            under_way.push_back(tick);
            if under_way.len() > away {
                shown.confirm(under_way.pop_front().unwrap() as u16, &mut spare);
            }
        }
        assert_eq!(whole.len(), away + 1, "{hz} Hz: {whole:?}");
    }
}

#[test]
fn only_frames_that_may_be_looked_back_at_know_places() {
    let mut history = History::new(schema(), 60);
    for tick in 1..=200 {
        history.add(tick, |frame| (0..16).for_each(|id| frame.put(id, (tick as i32, 0), &[])));
        history.newest_mut().unwrap().sort();
        let known = (1..=tick).filter(|&tick| history.at(tick).is_some_and(|frame| frame.place(3).is_some()));
        assert_eq!(known.count() as u64, tick.min(60 / 4 + 1));
        assert_eq!(
            history.past(1).unwrap().place(3).map(|place| place.0 as u64),
            Some(tick.saturating_sub(15).max(1))
        );
    }
}
