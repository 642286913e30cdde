//! A build in which nobody asks: there is no value of these types.

use windlass::{Scope, Sessions as Clients};

use crate::client::Client;
use crate::service::Hub;

#[derive(Debug)]
enum Never {}

/// A question to a hub: there is none in this build.
#[derive(Debug)]
pub struct Ask(Never);

impl Hub {
    pub(crate) fn asked(&mut self, _: &mut Scope<'_>, _: &mut Clients<Client>, ask: Ask) {
        match ask.0 {}
    }
}

pub(crate) mod lens {
    //! Nobody looks at what passes.

    use windlass::Time;

    use super::Never;
    use crate::session::message::Publication;

    pub(crate) struct Lens(Never);

    impl Lens {
        pub(crate) fn saw(&mut self, _: &Publication<'_>) {
            match self.0 {}
        }

        pub(crate) fn is_over(&self, _: Time) -> bool {
            match self.0 {}
        }
    }
}
