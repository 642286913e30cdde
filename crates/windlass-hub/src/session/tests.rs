//! What a session takes while nothing happens.

use super::{Link, Session, Subscription};
use crate::client::Client;

/// With the engine's share, the tree's and the allocator's, an idle connection with one subscription has 1 KiB.
#[test]
fn a_session_that_is_idle_is_small() {
    let sizes = [size_of::<Client>(), size_of::<Session>(), size_of::<Link>(), size_of::<Subscription>()];
    assert!(sizes.iter().sum::<usize>() <= 480, "{sizes:?}");
}
