//! A server changes under the simulated network, amid its traffic: listeners come and go, a service is
//! replaced by another that goes on with its listeners.

mod sim_services;

use sim_services::changes;
use windlass::sim;

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 3_000 };

#[test]
fn nobody_notices_a_change_who_is_not_told() {
    sim::check("changes", 0..SEEDS, changes);
}
