//! What waits for the disk on its way to another worker, and what it meets there.

use windlass_hub::QoS;
use windlass_hub::journal::SimPlan;

use crate::durable::{disk, on};
use crate::kit::V5;

/// Nobody gets what was for it as the member of a group once it was told that it is none.
#[test]
fn nothing_comes_behind_unsuback_that_waited_for_the_disk() {
    for n in 0..6 {
        let disk = disk();
        let (mut desk, _) = on(&disk, 0);
        for n in 0..6 {
            let (mut away, _) = desk.join_for_good(V5, &format!("away{n}"));
            desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
            desk.lose(&away);
        }
        let mut sender = desk.join(V5, "sender");
        let mut member = desk.join(V5, &format!("member{n}"));
        desk.subscribe(&mut member, "$share/g/t", QoS::AtLeastOnce);
        disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
        desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, 1);
        let mut heard = desk.unsubscribe(&mut member, "$share/g/t");
        disk.set_plan(SimPlan::default());
        desk.wait(5.0);
        heard.extend(desk.hear(&mut member));
        assert_eq!(heard.last().map(String::as_str), Some("UNSUBACK #8 [Success]"), "{heard:?}");
    }
}
