//! How long a connection stood in the accept queue.

use std::mem::MaybeUninit;
use std::time::Duration;

use std::os::fd::{AsFd, AsRawFd};

/// The time since the handshake, of a connection on which nothing was sent yet: Linux counts the time since
/// the last byte sent from there (`tcpi_last_data_sent`).
#[allow(unsafe_code, reason = "no crate that we have reads this option")]
pub(super) fn since_handshake(stream: &impl AsFd) -> Option<Duration> {
    if cfg!(miri) {
        return None;
    }
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and the system writes at most `len`
    // bytes to `info`, which has as many.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if failed != 0 {
        return None;
    }
    // SAFETY: all its fields are integers, for which the zeros it began with are values too.
    let info = unsafe { info.assume_init() };
    Some(Duration::from_millis(info.tcpi_last_data_sent.into()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_waits_in_the_queue_is_known_to_have_waited() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        let (accepted, _) = listener.accept().unwrap();
        let waited = since_handshake(&accepted).unwrap();
        assert!(waited >= Duration::from_millis(50), "{waited:?}");
        drop(accepted);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(since_handshake(&accepted).unwrap() < waited + Duration::from_secs(20));
    }
}
