//! Properties of every way to choose: evenness, weights, what one backend less changes, and that order does
//! not count where nodes have to agree.

use windlass_proto::testing::Rng;

use super::maglev::PLACES;
use super::*;

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let one = |(n, weight): (usize, &u32)| Candidate {
        open: true,
        weight: *weight,
        connections: 0,
        hash: hash(format!("10.0.0.{n}:80").as_bytes()),
    };
    weights.iter().enumerate().map(one).collect()
}

fn keys(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("10.0.0.{n}:80")).collect()
}

fn unbounded(candidates: &[Candidate]) -> Bound {
    Bound::new(candidates, 0)
}

#[test]
fn round_robin_is_smooth_and_exact() {
    let candidates = candidates(&[5, 1, 1]);
    let mut turns = RoundRobin::default();
    let seven: Vec<_> = (0..7).map(|_| turns.next(&candidates).unwrap()).collect();
    assert_eq!(seven, [0, 0, 1, 0, 2, 0, 0]);
    let mut counts = [0; 3];
    (0..700).for_each(|_| counts[turns.next(&candidates).unwrap()] += 1);
    assert_eq!(counts, [500, 100, 100]);
}

#[test]
fn round_robin_passes_over_who_is_closed_and_takes_it_back_in() {
    let mut candidates = candidates(&[1, 1, 1]);
    let mut turns = RoundRobin::default();
    candidates[1].open = false;
    let without: Vec<_> = (0..4).map(|_| turns.next(&candidates).unwrap()).collect();
    assert_eq!(without, [0, 2, 0, 2]);
    candidates[1].open = true;
    let mut counts = [0; 3];
    (0..30).for_each(|_| counts[turns.next(&candidates).unwrap()] += 1);
    assert_eq!(counts, [10, 10, 10], "what it missed is not made up for in a burst");
    candidates.iter_mut().for_each(|candidate| candidate.open = false);
    assert_eq!(turns.next(&candidates), None);
}

#[test]
fn workers_begin_at_different_backends() {
    let candidates = candidates(&[1, 1, 1]);
    let first = |worker| {
        let mut turns = RoundRobin::default();
        turns.begin_anew(&candidates, worker);
        turns.next(&candidates).unwrap()
    };
    assert_eq!([first(0), first(1), first(2), first(3)], [0, 1, 2, 0]);
}

#[test]
fn least_connections_follows_loads_and_weights() {
    let mut candidates = candidates(&[1, 1, 2]);
    let mut order = Vec::new();
    for from in 0..8 {
        let n = least(&candidates, from).unwrap();
        candidates[n].connections += 1;
        order.push(n);
    }
    let connections: Vec<_> = candidates.iter().map(|candidate| candidate.connections).collect();
    assert_eq!(connections, [2, 2, 4], "{order:?}");
    candidates[0].open = false;
    candidates[0].connections = 0;
    assert_ne!(least(&candidates, 0), Some(0));
}

#[test]
fn equals_take_turns() {
    let candidates = candidates(&[1, 1, 1]);
    let chosen: Vec<_> = (0..6).map(|from| least(&candidates, from).unwrap()).collect();
    assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn of_two_choices_the_less_loaded_wins_and_loads_stay_even() {
    let mut rng = Rng::new(7);
    let mut candidates = candidates(&[1; 20]);
    for _ in 0..20_000 {
        let n = two(&candidates, rng.next_u64()).unwrap();
        candidates[n].connections += 1;
    }
    let (least, most) = (
        candidates.iter().map(|candidate| candidate.connections).min().unwrap(),
        candidates.iter().map(|candidate| candidate.connections).max().unwrap(),
    );
    assert!(least >= 990 && most <= 1_005, "{least} to {most}: a draw of one alone gives 930 to 1,070");
    candidates[3].connections = 0;
    candidates.iter_mut().enumerate().for_each(|(n, candidate)| candidate.open = n == 3 || n == 4);
    for _ in 0..100 {
        assert_eq!(two(&candidates, rng.next_u64()), Some(3));
    }
    candidates[3].open = false;
    assert_eq!(two(&candidates, rng.next_u64()), Some(4));
    candidates[4].open = false;
    assert_eq!(two(&candidates, rng.next_u64()), None);
}

fn shares(choose: impl Fn(u64) -> usize, n: usize) -> Vec<f64> {
    const KEYS: u64 = 60_000;
    let mut counts = vec![0u64; n];
    (0..KEYS).for_each(|key| counts[choose(hash(&key.to_be_bytes()))] += 1);
    counts.iter().map(|count| *count as f64 / KEYS as f64).collect()
}

#[test]
fn a_source_hash_is_even_weighted_and_moves_only_the_clients_of_who_is_gone() {
    let whole = candidates(&[1, 2, 3, 4]);
    let choose = |candidates: &[Candidate], key| source(candidates, key, &unbounded(candidates)).unwrap();
    for (n, share) in shares(|key| choose(&whole, key), 4).iter().enumerate() {
        let wanted = (n + 1) as f64 / 10.0;
        assert!((share - wanted).abs() < 0.01, "{n}: {share}");
    }
    let mut less = whole.clone();
    less[2].open = false;
    for key in 0..20_000u64 {
        let key = hash(&key.to_be_bytes());
        let before = choose(&whole, key);
        assert!(before == 2 || choose(&less, key) == before, "a client moved without need");
    }
}

#[test]
fn nodes_agree_whatever_the_order_of_their_configuration() {
    let keys = keys(9);
    let mut rng = Rng::new(3);
    let mut order: Vec<usize> = (0..9).collect();
    let weight = |n: usize| 1 + (n as u32 % 4);
    let table = |order: &[usize]| {
        let backends: Vec<(&str, u32)> = order.iter().map(|n| (&*keys[*n], weight(*n))).collect();
        let candidates: Vec<Candidate> = order
            .iter()
            .map(|n| Candidate {
                open: true,
                weight: weight(*n),
                connections: 0,
                hash: hash(keys[*n].as_bytes()),
            })
            .collect();
        (Maglev::new(&backends), candidates)
    };
    let (first, first_candidates) = table(&order);
    for _ in 0..5 {
        for n in (1..order.len()).rev() {
            order.swap(n, rng.below(n as u64 + 1) as usize);
        }
        let (other, other_candidates) = table(&order);
        for key in 0..2_000u64 {
            let key = hash(&key.to_be_bytes());
            let bound = unbounded(&first_candidates);
            let one = first.find(&first_candidates, key, &bound).unwrap();
            assert_eq!(order[other.find(&other_candidates, key, &bound).unwrap()], one);
            let drawn = source(&first_candidates, key, &bound).unwrap();
            assert_eq!(order[source(&other_candidates, key, &bound).unwrap()], drawn);
        }
    }
}

#[test]
fn what_nodes_agree_on_is_the_same_in_every_version() {
    // Known answers: another table after an upgrade would move the clients of a cluster half of which
    // has been upgraded.
    let keys = keys(5);
    let backends: Vec<(&str, u32)> = keys.iter().map(|key| (&**key, 1)).collect();
    let table = Maglev::new(&backends);
    let candidates = candidates(&[1; 5]);
    let bound = unbounded(&candidates);
    let found: Vec<_> =
        (0..12u64).map(|key| table.find(&candidates, hash(&key.to_be_bytes()), &bound).unwrap()).collect();
    let drawn: Vec<_> =
        (0..12u64).map(|key| source(&candidates, hash(&key.to_be_bytes()), &bound).unwrap()).collect();
    assert_eq!((found, drawn), (MAGLEV_KNOWN.to_vec(), SOURCE_KNOWN.to_vec()));
}

const MAGLEV_KNOWN: [usize; 12] = [1, 1, 3, 3, 0, 3, 2, 0, 0, 0, 4, 3];
const SOURCE_KNOWN: [usize; 12] = [0, 3, 4, 4, 1, 4, 1, 3, 4, 2, 1, 0];

#[test]
fn maglev_gives_every_backend_its_share() {
    let keys = keys(100);
    for weights in [vec![1; 100], (0..100).map(|n| 1 + n % 7).collect::<Vec<u32>>()] {
        let backends: Vec<(&str, u32)> =
            keys.iter().zip(&weights).map(|(key, weight)| (&**key, *weight)).collect();
        let table = Maglev::new(&backends);
        let total: u32 = weights.iter().sum();
        for (n, weight) in weights.iter().enumerate() {
            let places = table.places().iter().filter(|owner| **owner as usize == n).count() as f64;
            let wanted = PLACES as f64 * f64::from(*weight) / f64::from(total);
            assert!((places / wanted - 1.0).abs() < 0.02, "{n}: {places} places of {wanted}");
        }
    }
}

#[test]
fn maglev_moves_little_when_a_backend_is_taken_out_or_fails() {
    let keys = keys(20);
    let backends: Vec<(&str, u32)> = keys.iter().map(|key| (&**key, 1)).collect();
    let table = Maglev::new(&backends);
    // Taken out of the configuration: a new table.
    let less = Maglev::new(&backends[..19]);
    let kept = table.places().iter().zip(less.places()).filter(|(owner, _)| **owner < 19);
    let (mut all, mut moved) = (0, 0);
    for (before, after) in kept {
        all += 1;
        moved += usize::from(before != after);
    }
    assert!(moved * 100 < all * 5, "{moved} of {all} places of others moved");
    // Failed: the table stays, and its clients are spread over all the others.
    let mut candidates = candidates(&[1; 20]);
    candidates[19].open = false;
    let bound = unbounded(&candidates);
    let mut counts = [0; 20];
    for key in 0..60_000u64 {
        let key = hash(&key.to_be_bytes());
        let owner = table.find(&self::candidates(&[1; 20]), key, &bound).unwrap();
        let found = table.find(&candidates, key, &bound).unwrap();
        assert!(found != 19 && (owner == 19 || owner == found), "a client moved without need");
        counts[found] += usize::from(owner == 19);
    }
    let (least, most) = (counts[..19].iter().min().unwrap(), counts[..19].iter().max().unwrap());
    assert!(*least > 0 && *most < 4 * least, "its clients are spread: {counts:?}");
}

#[test]
fn whoever_is_too_light_for_a_place_still_stands_in_when_nobody_else_is_open() {
    let (keys, weights) = (keys(3), [65_535, 65_535, 1]);
    let backends: Vec<(&str, u32)> = keys.iter().map(String::as_str).zip(weights).collect();
    let table = Maglev::new(&backends);
    assert!(!table.places().contains(&2), "or it is no such backend");
    let mut candidates = candidates(&weights);
    candidates[..2].iter_mut().for_each(|candidate| candidate.open = false);
    let bound = Bound::new(&candidates, 125);
    assert_eq!(table.find(&candidates, 7, &bound), Some(2));
}

#[test]
fn bounded_load_holds_however_lopsided_the_clients_are() {
    let keys = keys(10);
    let weights: Vec<u32> = (0..10).map(|n| 1 + n % 3).collect();
    let backends: Vec<(&str, u32)> =
        keys.iter().zip(&weights).map(|(key, weight)| (&**key, *weight)).collect();
    let table = Maglev::new(&backends);
    for by_table in [true, false] {
        let mut candidates = candidates(&weights);
        for n in 0..3_000usize {
            // One client is half of them.
            let key = if n % 2 == 0 { 7 } else { hash(&n.to_be_bytes()) };
            let bound = Bound::new(&candidates, 125);
            let found = match by_table {
                true => table.find(&candidates, key, &bound),
                false => source(&candidates, key, &bound),
            };
            candidates[found.expect("somebody always has room")].connections += 1;
        }
        let total: u32 = weights.iter().sum();
        for (candidate, weight) in candidates.iter().zip(&weights) {
            let share = 3_000.0 * f64::from(*weight) / f64::from(total);
            let most = (share * 1.25).ceil() as usize + 1;
            assert!(candidate.connections <= most, "{} of {share}", candidate.connections);
        }
    }
}

#[test]
fn without_backends_nobody_is_found() {
    let bound = unbounded(&[]);
    assert_eq!(Maglev::new(&[]).find(&[], 1, &bound), None);
    assert_eq!(source(&[], 1, &bound), None);
    assert_eq!(least(&[], 5), None);
    let closed = vec![Candidate { open: false, weight: 1, ..Candidate::default() }];
    assert_eq!(Maglev::new(&[("a", 1)]).find(&closed, 1, &bound), None);
    assert_eq!(Maglev::new(&[("a", 0)]).find(&candidates(&[1]), 1, &bound), None);
}
