//! Connections of an [`Http`] that go on to another worker.

use windlass::{Close, Conn, Move};

use crate::app::{App, Upgraded};
use crate::service::Http;
use crate::session::{Kind, Requests, Session};

/// What a connection became by an upgrade, and can go on to another worker with ([`Conn::move_to`]): a game whose room
/// is on one of them, which the path of the request tells.
///
/// An [`Http`] of such an app is a [`windlass::Move`], to be described with [`Serve::movable`](windlass::Serve::movable).
/// The response is sent before it moves; what the peer has sent behind the request goes with it.
pub trait MoveUpgraded<A>: Upgraded<A> {
    /// What of it travels.
    type Seed: Send + 'static;

    /// It leaves: its id ends, and its deadline. `closed` is not called for it here.
    fn move_out(self, app: &mut A, conn: &mut Conn<'_>) -> Self::Seed;

    /// It arrives, with a new id. [`Upgraded::open`] is not called again. `Err` ends it, without `closed`.
    fn move_in(app: &mut A, conn: &mut Conn<'_>, seed: Self::Seed) -> Result<Self, Close>;
}

/// A connection of an [`Http`] on its way to another worker.
pub struct HttpSeed<U>(Seed<U>);

enum Seed<U> {
    Requests(Box<Requests>),
    Events(usize),
    Upgraded(U),
}

impl<A: App> Move for Http<A>
where
    A::Upgraded: MoveUpgraded<A>,
{
    type Seed = HttpSeed<<A::Upgraded as MoveUpgraded<A>>::Seed>;

    fn move_out(&mut self, conn: &mut Conn<'_>, session: Session<A>) -> Self::Seed {
        HttpSeed(match session.kind {
            Kind::Requests(mut requests) => {
                self.shared.bodies -= requests.held;
                // Its name ends here, so nobody could answer it.
                requests.later = None;
                Seed::Requests(requests)
            }
            Kind::Events(number) => {
                self.shared.channels[number].subscribers.remove(&conn.id());
                self.shared.stats.subscribers -= 1;
                Seed::Events(number)
            }
            Kind::Upgraded(upgraded) => Seed::Upgraded(upgraded.move_out(&mut self.app, conn)),
        })
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, seed: Self::Seed) -> Result<Session<A>, Close> {
        let config = &self.shared.config;
        let kind = match seed.0 {
            Seed::Requests(requests) => {
                self.shared.bodies += requests.held;
                conn.wake_at(conn.now() + requests.timeout(config));
                Kind::Requests(requests)
            }
            Seed::Events(number) => {
                conn.wake_at(conn.now() + config.event_keep_alive);
                self.shared.channels[number].subscribers.insert(conn.id());
                self.shared.stats.subscribers += 1;
                Kind::Events(number)
            }
            Seed::Upgraded(seed) => Kind::Upgraded(MoveUpgraded::move_in(&mut self.app, conn, seed)?),
        };
        Ok(Session { kind })
    }
}
