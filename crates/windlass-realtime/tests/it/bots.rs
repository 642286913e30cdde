//! Bots play, against one server and with each other.

use windlass::serve;
use windlass_realtime::{Bots, BotsConfig, BotsWatch};

use crate::kit::{Server, config, eventually, seat};

#[test]
fn forty_bots_find_seats_play_and_leave() {
    let server = Server::start(config(), 2);
    let (watch, its) = (BotsWatch::default(), BotsConfig::new(server.at, 40));
    let counting = watch.clone();
    let tick = its.tick();
    let bound = serve(move || Bots::new(its.clone(), counting.clone())).tick(tick).workers(1).bind().unwrap();
    let handle = bound.handle();
    let running = std::thread::spawn(move || bound.run());
    eventually("all have a seat", || watch.seen().seated == 40);
    // Of 40 at 30 Hz that is a second's worth: how long a busy machine takes for it is no matter.
    let before = watch.seen();
    eventually("all have played", || {
        let now = watch.seen();
        now.snapshots > before.snapshots + 1_200 && now.inputs > before.inputs + 1_200 && now.answered > 0
    });
    let after = watch.seen();
    assert_eq!((after.bad, after.lost), (0, 0), "{after:?}");
    let stats = server.watch.stats();
    assert_eq!((stats.rooms, stats.players), (3, 40));
    assert_eq!(stats.left_abuse + stats.left_slow + stats.messages_dropped, 0);
    handle.shutdown();
    running.join().unwrap().unwrap();
    eventually("they have left", || server.watch.stats().left == 40);
    eventually("their seats are free", || seat(server.at, "join-or-create", "{}").1["seat"] == 0);
    eventually("they are counted out", || {
        let stats = server.watch.stats();
        let there = stats.joined - stats.left - stats.left_lost - stats.left_closed;
        there == stats.players + stats.spectators
    });
}
