//! The subscriptions of a session: mostly one, and then nothing is allocated for it but its filter.

use std::ops::{Deref, DerefMut};

use super::Subscription;

/// Some subscriptions, as a slice to look at. Several are behind a pointer, so that one takes no more than itself.
#[derive(Debug, Default)]
#[allow(clippy::box_collection, reason = "every session has this, and few have several")]
pub(crate) enum Subscribed {
    #[default]
    None,
    One(Subscription),
    Many(Box<Vec<Subscription>>),
}

impl Subscribed {
    pub(crate) fn push(&mut self, subscription: Subscription) {
        *self = match std::mem::take(self) {
            Subscribed::None => Subscribed::One(subscription),
            Subscribed::One(first) => Subscribed::Many(Box::new(vec![first, subscription])),
            Subscribed::Many(mut all) => {
                all.push(subscription);
                Subscribed::Many(all)
            }
        };
    }

    /// Takes one out; the last comes to its place. `None`: there is none.
    pub(crate) fn swap_remove(&mut self, at: usize) -> Option<Subscription> {
        match self {
            Subscribed::Many(all) => {
                let removed = (at < all.len()).then(|| all.swap_remove(at));
                if all.len() == 1
                    && let Some(last) = all.pop()
                {
                    *self = Subscribed::One(last);
                }
                removed
            }
            Subscribed::One(_) if at == 0 => match std::mem::take(self) {
                Subscribed::One(only) => Some(only),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Deref for Subscribed {
    type Target = [Subscription];

    fn deref(&self) -> &[Subscription] {
        match self {
            Subscribed::None => &[],
            Subscribed::One(one) => std::slice::from_ref(one),
            Subscribed::Many(all) => all,
        }
    }
}

impl DerefMut for Subscribed {
    fn deref_mut(&mut self) -> &mut [Subscription] {
        match self {
            Subscribed::None => &mut [],
            Subscribed::One(one) => std::slice::from_mut(one),
            Subscribed::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_proto::mqtt::{QoS, SubscribeOptions};

    use super::*;

    fn subscription(id: u32) -> Subscription {
        Subscription { filter: "f".into(), options: SubscribeOptions::new(QoS::AtMostOnce), id }
    }

    #[test]
    fn they_are_as_in_a_vector() {
        assert_eq!(size_of::<Subscribed>(), size_of::<Subscription>());
        let (mut all, mut model) = (Subscribed::default(), Vec::new());
        let mut rng = windlass_proto::testing::Rng::new(3);
        for id in 1..2_000 {
            if rng.below(2) == 0 {
                all.push(subscription(id));
                model.push(subscription(id));
            } else {
                let at = rng.below(3) as usize;
                let removed = (at < model.len()).then(|| model.swap_remove(at));
                assert_eq!(all.swap_remove(at), removed);
            }
            assert_eq!(*all, *model);
            assert_eq!(matches!(all, Subscribed::Many(_)), model.len() > 1);
            all.iter_mut().for_each(|it| it.id += 1);
            model.iter_mut().for_each(|it| it.id += 1);
        }
    }
}
