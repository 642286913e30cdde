//! Tests of what events are about.

use super::*;
use crate::config::Config;

const ALL: Readiness =
    Readiness(Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED | Readiness::BROKEN);

fn core() -> Core {
    let shared = Arc::new(Shared::new(Config::default(), 1, vec![]));
    let mut core = Core::new(0, &shared, Time::from_nanos(1_000_000_000));
    core.put_members(0, false, false, OwnLimits::default());
    core
}

#[test]
fn an_event_for_the_former_connection_of_a_slot_says_nothing_of_the_one_there_now() {
    let mut core = core();
    let former = core.insert(None, 0, 0).unwrap();
    let its = Token::conn(former, core.slot(former).generation);
    core.leave_service(former);
    core.remove(former);
    core.recycle();
    let now = core.insert(None, 0, 0).unwrap();
    assert_eq!(now, former, "the slot is taken again");
    let flags = core.slot(now).flags;
    mark(&mut core, its, ALL);
    assert_eq!((core.slot(now).flags, core.run.len()), (flags, 0));
    let own = Token::conn(now, core.slot(now).generation);
    mark(&mut core, own, Readiness(Readiness::READABLE));
    assert!(core.slot(now).is(flag::READABLE) && core.run == [now]);
}

#[test]
#[cfg(feature = "udp")]
fn an_event_for_the_former_socket_of_a_slot_says_nothing_of_the_one_there_now() {
    let mut core = core();
    let (tick, local) = (core.tick, "127.0.0.1:1".parse().unwrap());
    let former = core.udp.insert(tick, 0, local, None).unwrap();
    let its = Token::udp(former, core.udp.slots[former as usize].generation);
    core.udp.remove(former);
    core.recycle();
    let now = core.udp.insert(tick, 0, local, None).unwrap();
    assert_eq!(now, former, "the slot is taken again");
    let flags = core.udp.slots[now as usize].flags;
    datagrams::mark(&mut core, now, its, ALL);
    assert_eq!((core.udp.slots[now as usize].flags, core.udp.has_work()), (flags, false));
    let own = Token::udp(now, core.udp.slots[now as usize].generation);
    datagrams::mark(&mut core, now, own, Readiness(Readiness::READABLE));
    assert!(core.udp.slots[now as usize].is(flag::READABLE) && core.udp.has_work());
}
