//! Where sockets cannot be passed, or not be checked: nobody gets any of these values.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::listen::TcpOptions;
use super::super::{MioListener, MioUdp, UdpBuffers};
use super::{Item, Local};

#[derive(Debug)]
pub(crate) struct Passed(Infallible);
#[derive(Debug)]
pub(crate) struct Predecessor(Infallible);
pub(crate) struct HeldLine(#[allow(dead_code, reason = "there is none")] Infallible);
pub(crate) struct Control(Infallible);
#[derive(Clone)]
pub(crate) struct Twin;

impl Passed {
    pub(crate) fn local(&self) -> &Local {
        match self.0 {}
    }

    pub(crate) fn is_transparent(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn listener(&self, _: &TcpOptions) -> io::Result<MioListener> {
        match self.0 {}
    }

    pub(crate) fn udp(&self, _: UdpBuffers) -> io::Result<MioUdp> {
        match self.0 {}
    }
}

impl Predecessor {
    pub(crate) fn ready(self, _: Vec<Item>) -> io::Result<HeldLine> {
        match self.0 {}
    }
}

impl Control {
    pub(crate) fn new(_: MioListener, _: &[(Item, Twin)], _: Duration) -> io::Result<Control> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(crate) fn from_environment(_: usize) -> io::Result<Vec<Passed>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn ask(_: &Path) -> io::Result<Option<(Predecessor, Vec<(Item, Passed)>)>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn open_control(_: &Path, _: Option<Passed>) -> io::Result<MioListener> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn twin(_: &MioListener) -> io::Result<Twin> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn udp_twin(_: &mut MioUdp) -> io::Result<Twin> {
    Err(io::ErrorKind::Unsupported.into())
}
