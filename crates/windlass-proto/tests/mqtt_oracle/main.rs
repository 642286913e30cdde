//! The codec beside another one, mqtt-protocol-core: the same packets are taken and refused, and what is taken means the
//! same, in both versions. Where they differ there is a reason, with the clause it follows from.

mod oracle;
mod samples;

use std::collections::BTreeMap;

use oracle::{DIFFERENCES, KINDS, Verdict, compare};
use windlass_proto::mqtt::{Kind, Version};
use windlass_proto::testing::Rng;

/// Of each kind and version.
const SAMPLES: u64 = if cfg!(debug_assertions) { 6_000 } else { 200_000 };

#[test]
fn the_same_packets_are_taken_and_mean_the_same() {
    let mut known = BTreeMap::new();
    for version in [Version::V311, Version::V5] {
        for kind in KINDS {
            let mut rng = Rng::new(kind as u64 * 2 + u64::from(version == Version::V5));
            let mut counts = BTreeMap::new();
            for _ in 0..SAMPLES {
                let sample = samples::any(&mut rng, kind, version);
                let verdict = compare(sample.first, &sample.body, version);
                *counts.entry(verdict).or_insert(0_u64) += 1;
                if let Verdict::Known(at) = verdict {
                    *known.entry(at).or_insert(0_u64) += 1;
                }
            }
            let of = |verdict| counts.get(&verdict).copied().unwrap_or(0);
            if !(kind == Kind::Auth && version == Version::V311) {
                assert!(of(Verdict::Taken) > SAMPLES / 3, "{version:?} {kind:?}: {counts:?}");
            }
            assert!(of(Verdict::Refused) > SAMPLES / 200, "{version:?} {kind:?}: {counts:?}");
        }
    }
    // What is said to differ does.
    for (at, difference) in DIFFERENCES.iter().enumerate() {
        assert!(known.contains_key(&at), "nothing differs: {}", difference.why);
    }
}
