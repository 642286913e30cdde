//! What bounds a user, whatever number of clients it has.

use std::collections::HashMap;

/// Bounds of one user. Plain data with `Default`; 0 is no bound, and the default of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct UserLimits {
    /// Connections at once, of each worker.
    pub connections_max: usize,
    /// Connections begun in a second.
    pub connects_per_second_max: u32,
    /// Messages published in a second, by all of its clients on a worker.
    pub messages_per_second_max: u32,
    /// Bytes of payload published in a second, by all of its clients on a worker.
    pub bytes_per_second_max: u64,
    /// Subscriptions of each of its clients.
    pub subscriptions_max: usize,
}

/// Bounds of all users.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsersLimits {
    /// For everybody without bounds of its own, and for clients without a name.
    pub everybody: UserLimits,
    /// For these.
    pub users: HashMap<Box<str>, UserLimits>,
}

impl UsersLimits {
    /// The bounds of a user.
    pub fn of(&self, user: Option<&str>) -> &UserLimits {
        user.and_then(|user| self.users.get(user)).unwrap_or(&self.everybody)
    }
}
