//! Why a WebSocket ends: close codes (RFC 6455 section 7.4) and the body of a Close frame.

use core::str;

use super::error::WsError;

/// A close code. Those of the RFC have names; 3000 to 3999 are registered by others, 4000 to 4999 are free
/// for use between two who know each other.
///
/// ```
/// use windlass_proto::ws::CloseCode;
///
/// assert!(CloseCode::NORMAL.may_be_sent() && CloseCode(4001).may_be_sent());
/// assert!(!CloseCode::NO_STATUS.may_be_sent(), "it says that there was none");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server goes down, or the page is left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// 1003: a kind of message that is not understood.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// 1005, never sent: a Close frame without a code came.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// 1006, never sent: the connection ended without a Close frame.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// 1007: a message whose bytes are not what its kind says, such as text that is not UTF-8.
    pub const INVALID: CloseCode = CloseCode(1007);
    /// 1008: against a policy.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// 1009: a message that is too big.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: a client misses an extension.
    pub const EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: a fault of the server.
    pub const INTERNAL: CloseCode = CloseCode(1011);
    /// 1012: the server starts anew.
    pub const RESTART: CloseCode = CloseCode(1012);
    /// 1013: the server is overloaded; later, perhaps.
    pub const TRY_LATER: CloseCode = CloseCode(1013);

    /// Whether a Close frame may carry it: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// What a Close frame said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseFrame<'b> {
    /// The code; [`CloseCode::NO_STATUS`] if there was none.
    pub code: CloseCode,
    /// The reason, for people: up to 123 bytes.
    pub reason: &'b str,
}

impl<'b> CloseFrame<'b> {
    /// Reads a Close frame's body.
    pub(super) fn parse(body: &'b [u8]) -> Result<CloseFrame<'b>, WsError> {
        match body {
            [] => Ok(CloseFrame { code: CloseCode::NO_STATUS, reason: "" }),
            [_] => Err(WsError::CloseBody),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.may_be_sent() {
                    return Err(WsError::CloseCode(code.0));
                }
                let reason = str::from_utf8(reason).map_err(|_| WsError::Utf8)?;
                Ok(CloseFrame { code, reason })
            }
        }
    }
}
