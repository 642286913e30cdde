//! The types of values, for code that is the same for all of them.

use super::list::List;
use super::sorted::SortedSet;
use super::value::{Hash, Set, Value};

/// A type of value: what [`Store::view`](super::Store::view) and [`Store::edit`](super::Store::edit) are
/// asked for.
pub trait Kind: Sized {
    /// This value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// An empty one.
    fn empty() -> Value;
}

macro_rules! kinds {
    ($($variant:ident: $ty:ty;)*) => {$(
        impl Kind for $ty {
            fn of(value: &Value) -> Option<&$ty> {
                if let Value::$variant(value) = value { Some(value) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut $ty> {
                if let Value::$variant(value) = value { Some(value) } else { None }
            }
            fn empty() -> Value {
                Value::$variant(Default::default())
            }
        }
    )*};
}

kinds! {
    Bytes: Vec<u8>;
    List: List;
    Hash: Box<Hash>;
    Set: Box<Set>;
    Sorted: Box<SortedSet>;
}
