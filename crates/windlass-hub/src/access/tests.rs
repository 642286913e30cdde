//! What is kept of tokens.

use std::sync::Arc;

use windlass::{Conn, ConnId};

use super::Belonging;
use crate::config::HubConfig;
use crate::reach::Reach;
use crate::service::Hub;
use crate::stats::HubWatch;

/// Nobody is connected.
struct Nobody;

impl Reach for Nobody {
    fn conn(&mut self, _: ConnId) -> Option<Conn<'_>> {
        None
    }
}

#[test]
fn one_that_comes_back_with_new_tokens_has_one_end() {
    let mut hub = Hub::new(HubConfig::default(), &HubWatch::new(1));
    let now = hub.now;
    let keys = ["a", "b"].map(|id| hub.sessions.add(id, now));
    for n in 0..100 {
        for key in keys {
            let mut who = hub.config.identity.vouched(Some("u"), None).expect("it is somebody");
            who.expires_at_unix_ms = Some((1 << 40) + n);
            hub.belongs(key, Belonging { who: Some(Arc::new(who)), ..Belonging::default() });
        }
    }
    assert_eq!(hub.access.ends.len(), 2);
    let last = hub.access.ends.keys().next_back().copied();
    // The later of its tokens counts, and none if the last one has no end.
    assert_eq!(
        last,
        hub.sessions.get(keys[1]).and_then(|it| it.belonging.ends.get()).map(|at| (at, keys[1]))
    );
    hub.belongs(keys[0], Belonging::default());
    assert_eq!(hub.access.ends.len(), 1);
    // With the session it is over too.
    hub.watch.totals().sessions.add(2);
    hub.end_session(&mut Nobody, keys[1]);
    assert!(hub.access.ends.is_empty());
}
