//! ENet's own compression: an adaptive range coder over contexts of up to two bytes, byte-compatible with
//! `enet_range_coder_compress`.
//!
//! Every datagram is compressed alone. A *context* counts which bytes have followed the last zero, one or two; its
//! counts stand in a binary tree by value, where each node also knows the sum of its left side, so that the place of
//! a byte in the context's range is found on the way down. A byte that the longest context has not seen is escaped
//! to the next shorter one; the one without a past knows all 256. The end is an escape from that one.
//!
//! All arithmetic on the model wraps as the original's 16-bit numbers do. What cannot have come from an encoder is
//! refused, as is what would be longer than the caller allows.

use alloc::boxed::Box;
use alloc::vec;

const TOP: u32 = 1 << 24;
const BOTTOM: u32 = 1 << 16;

const SYMBOLS: usize = 4096;
/// Contexts beyond the one without a past.
const ORDER: usize = 2;

/// The context without a past stands first, so that its index also means "none" where a node is named.
const ROOT: u16 = 0;

const ROOT_UPDATE: u8 = 3;
const ROOT_MINIMUM: u16 = 1;
const ROOT_ESCAPES: u16 = 1;
const UPDATE: u8 = 2;
const ESCAPE_UPDATE: u16 = 5;

/// A node of one context's tree, and the context of what follows it.
#[derive(Clone, Copy, Default)]
struct Symbol {
    value: u8,
    count: u8,
    /// Counts of this node and all on its left.
    under: u16,
    left: u16,
    right: u16,
    /// The root of the tree of the context that this symbol is.
    symbols: u16,
    escapes: u16,
    total: u16,
    /// The same symbol in the next shorter context.
    parent: u16,
}

/// Where a byte stands in a context's range.
struct Found {
    symbol: u16,
    under: u16,
    count: u16,
}

/// The model; what it holds between two datagrams does not matter.
pub(super) struct RangeCoder {
    symbols: Box<[Symbol]>,
    next: usize,
    predicted: u16,
    order: usize,
}

impl RangeCoder {
    pub(super) fn new() -> RangeCoder {
        RangeCoder { symbols: vec![Symbol::default(); SYMBOLS].into(), next: 0, predicted: ROOT, order: 0 }
    }

    /// Compresses `bytes` into `out`. Nothing if they do not become shorter than `out` is long.
    pub(super) fn compress(&mut self, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut encoder = Encoder { low: 0, range: u32::MAX, out, at: 0 };
        self.start();
        for &value in bytes {
            let mut context = self.predicted;
            // Whose place is told what the symbol is one context up: nobody's first, which is the prediction.
            let mut above = None;
            let done = loop {
                if context == ROOT {
                    break false;
                }
                let found = self.count(context, value, UPDATE, 0);
                self.link(&mut above, found.symbol);
                let Symbol { escapes, total, .. } = self.symbols[usize::from(context)];
                if found.count > 0 {
                    encoder.put(escapes.wrapping_add(found.under), found.count, total)?;
                } else {
                    if escapes > 0 && escapes < total {
                        encoder.put(0, escapes, total)?;
                    }
                    self.escaped(context);
                }
                self.counted(context, found.count);
                if found.count > 0 {
                    break true;
                }
                context = self.symbols[usize::from(context)].parent;
            };
            if !done {
                let found = self.count(ROOT, value, ROOT_UPDATE, ROOT_MINIMUM);
                self.link(&mut above, found.symbol);
                let Symbol { escapes, total, .. } = self.symbols[usize::from(ROOT)];
                encoder.put(escapes.wrapping_add(found.under), found.count, total)?;
                self.counted_in_root(found.count);
            }
            self.advance();
        }
        encoder.finish()
    }

    /// The opposite. Nothing if `bytes` are no compressed ones, or would become longer than `out`.
    pub(super) fn decompress(&mut self, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        let mut decoder = Decoder::new(bytes);
        let mut at = 0;
        self.start();
        loop {
            let mut context = self.predicted;
            let found = loop {
                if context == ROOT {
                    break None;
                }
                let Symbol { escapes, total, parent, .. } = self.symbols[usize::from(context)];
                if escapes > 0 && escapes < total {
                    let code = decoder.read(total)?;
                    if code >= escapes {
                        let found = self.find(context, code - escapes)?;
                        decoder.take(escapes.wrapping_add(found.under), found.count)?;
                        self.counted(context, found.count);
                        break Some(found.symbol);
                    }
                    decoder.take(0, escapes)?;
                }
                context = parent;
            };
            let symbol = match found {
                Some(symbol) => symbol,
                None => {
                    let Symbol { escapes, total, .. } = self.symbols[usize::from(ROOT)];
                    let code = decoder.read(total)?;
                    if code < escapes {
                        return Some(at);
                    }
                    let found = self.find_in_root(code - escapes)?;
                    decoder.take(escapes.wrapping_add(found.under), found.count)?;
                    self.counted_in_root(found.count);
                    found.symbol
                }
            };
            let value = self.symbols[usize::from(symbol)].value;

            // The longer contexts, which did not know the byte, learn it.
            let mut above = None;
            let mut patched = self.predicted;
            while patched != context {
                let found = self.count(patched, value, UPDATE, 0);
                self.link(&mut above, found.symbol);
                if found.count == 0 {
                    self.escaped(patched);
                }
                self.counted(patched, found.count);
                patched = self.symbols[usize::from(patched)].parent;
            }
            self.link(&mut above, symbol);

            *out.get_mut(at)? = value;
            at += 1;
            self.advance();
        }
    }

    fn start(&mut self) {
        self.next = 0;
        let root = self.create(0, 0);
        self.symbols[usize::from(root)].escapes = ROOT_ESCAPES;
        self.symbols[usize::from(root)].total = ROOT_ESCAPES + 256 * ROOT_MINIMUM;
        self.predicted = ROOT;
        self.order = 0;
    }

    fn create(&mut self, value: u8, count: u8) -> u16 {
        let index = self.next;
        self.next += 1;
        self.symbols[index] = Symbol { value, count, under: u16::from(count), ..Symbol::default() };
        index as u16
    }

    fn link(&mut self, above: &mut Option<u16>, symbol: u16) {
        match above.replace(symbol) {
            Some(longer) => self.symbols[usize::from(longer)].parent = symbol,
            None => self.predicted = symbol,
        }
    }

    /// The byte is behind us: the next context is one byte shorter than what has been predicted, or starts to
    /// be as long. All is forgotten when the symbols run out.
    fn advance(&mut self) {
        if self.order >= ORDER {
            self.predicted = self.symbols[usize::from(self.predicted)].parent;
        } else {
            self.order += 1;
        }
        if self.next >= SYMBOLS - ORDER {
            self.start();
        }
    }

    fn escaped(&mut self, context: u16) {
        let context = &mut self.symbols[usize::from(context)];
        context.escapes = context.escapes.wrapping_add(ESCAPE_UPDATE);
        context.total = context.total.wrapping_add(ESCAPE_UPDATE);
    }

    fn counted(&mut self, context: u16, count: u16) {
        let update = u16::from(UPDATE);
        let total = self.symbols[usize::from(context)].total.wrapping_add(update);
        self.symbols[usize::from(context)].total = total;
        if count > 0xff - 2 * update || u32::from(total) > BOTTOM - 0x100 {
            self.halve(context, 0);
        }
    }

    fn counted_in_root(&mut self, count: u16) {
        let update = u16::from(ROOT_UPDATE);
        let total = self.symbols[usize::from(ROOT)].total.wrapping_add(update);
        self.symbols[usize::from(ROOT)].total = total;
        if count > 0xff - 2 * update + ROOT_MINIMUM || u32::from(total) > BOTTOM - 0x100 {
            self.halve(ROOT, ROOT_MINIMUM);
        }
    }

    fn halve(&mut self, context: u16, minimum: u16) {
        let Symbol { symbols, escapes, .. } = self.symbols[usize::from(context)];
        let counts = if symbols == ROOT { 0 } else { self.halve_tree(symbols) };
        let context = &mut self.symbols[usize::from(context)];
        context.escapes = escapes - (escapes >> 1);
        context.total = counts.wrapping_add(context.escapes).wrapping_add(256 * minimum);
    }

    // No deeper than there are values.
    fn halve_tree(&mut self, mut node: u16) -> u16 {
        let mut total = 0_u16;
        loop {
            let Symbol { count, left, right, .. } = self.symbols[usize::from(node)];
            let count = count - (count >> 1);
            let mut under = u16::from(count);
            if left != ROOT {
                under = under.wrapping_add(self.halve_tree(left));
            }
            let symbol = &mut self.symbols[usize::from(node)];
            symbol.count = count;
            symbol.under = under;
            total = total.wrapping_add(under);
            if right == ROOT {
                return total;
            }
            node = right;
        }
    }

    /// Counts one more `value` in `context`, and says where it stood before. A count of zero: it was not there.
    fn count(&mut self, context: u16, value: u8, update: u8, minimum: u16) -> Found {
        let mut under = u16::from(value).wrapping_mul(minimum);
        let mut node = self.symbols[usize::from(context)].symbols;
        if node == ROOT {
            let symbol = self.create(value, update);
            self.symbols[usize::from(context)].symbols = symbol;
            return Found { symbol, under, count: minimum };
        }
        loop {
            let symbol = &mut self.symbols[usize::from(node)];
            if value < symbol.value {
                symbol.under = symbol.under.wrapping_add(u16::from(update));
                if symbol.left != ROOT {
                    node = symbol.left;
                    continue;
                }
                let symbol = self.create(value, update);
                self.symbols[usize::from(node)].left = symbol;
                return Found { symbol, under, count: minimum };
            }
            if value > symbol.value {
                under = under.wrapping_add(symbol.under);
                if symbol.right != ROOT {
                    node = symbol.right;
                    continue;
                }
                let symbol = self.create(value, update);
                self.symbols[usize::from(node)].right = symbol;
                return Found { symbol, under, count: minimum };
            }
            let count = minimum + u16::from(symbol.count);
            under = under.wrapping_add(symbol.under.wrapping_sub(u16::from(symbol.count)));
            symbol.under = symbol.under.wrapping_add(u16::from(update));
            symbol.count = symbol.count.wrapping_add(update);
            return Found { symbol: node, under, count };
        }
    }

    /// The symbol that stands at `code` in `context`, counted once more.
    fn find(&mut self, context: u16, code: u16) -> Option<Found> {
        let mut under = 0_u16;
        let mut node = self.symbols[usize::from(context)].symbols;
        while node != ROOT {
            let symbol = &mut self.symbols[usize::from(node)];
            let after = under.wrapping_add(symbol.under);
            let before = after.wrapping_sub(u16::from(symbol.count));
            if code >= after {
                under = after;
                node = symbol.right;
            } else if code < before {
                symbol.under = symbol.under.wrapping_add(u16::from(UPDATE));
                node = symbol.left;
            } else {
                let count = u16::from(symbol.count);
                symbol.under = symbol.under.wrapping_add(u16::from(UPDATE));
                symbol.count = symbol.count.wrapping_add(UPDATE);
                return Some(Found { symbol: node, under: before, count });
            }
        }
        None
    }

    /// The same in the context that knows all values, where one that was never counted has its minimum.
    fn find_in_root(&mut self, code: u16) -> Option<Found> {
        let mut under = 0_u16;
        let mut node = self.symbols[usize::from(ROOT)].symbols;
        if node == ROOT {
            let symbol = self.create(u8::try_from(code).ok()?, ROOT_UPDATE);
            self.symbols[usize::from(ROOT)].symbols = symbol;
            return Some(Found { symbol, under: code, count: ROOT_MINIMUM });
        }
        loop {
            let symbol = &mut self.symbols[usize::from(node)];
            let value = u16::from(symbol.value);
            let after = under.wrapping_add(symbol.under).wrapping_add(value + 1);
            let before = after.wrapping_sub(u16::from(symbol.count) + ROOT_MINIMUM);
            if code >= after {
                under = under.wrapping_add(symbol.under);
                if symbol.right != ROOT {
                    node = symbol.right;
                    continue;
                }
                let value = u8::try_from(value + 1 + (code - after)).ok()?;
                let symbol = self.create(value, ROOT_UPDATE);
                self.symbols[usize::from(node)].right = symbol;
                return Some(Found { symbol, under: code, count: ROOT_MINIMUM });
            }
            if code < before {
                symbol.under = symbol.under.wrapping_add(u16::from(ROOT_UPDATE));
                if symbol.left != ROOT {
                    node = symbol.left;
                    continue;
                }
                let value = value.checked_sub(before - code)?;
                let symbol = self.create(value as u8, ROOT_UPDATE);
                self.symbols[usize::from(node)].left = symbol;
                return Some(Found { symbol, under: code, count: ROOT_MINIMUM });
            }
            let count = u16::from(symbol.count) + ROOT_MINIMUM;
            symbol.under = symbol.under.wrapping_add(u16::from(ROOT_UPDATE));
            symbol.count = symbol.count.wrapping_add(ROOT_UPDATE);
            return Some(Found { symbol: node, under: before, count });
        }
    }
}

/// Narrows a range by one symbol, and shifts out the bytes that are decided. `shift` is given each of them.
#[inline]
fn narrow(low: &mut u32, range: &mut u32, mut shift: impl FnMut(u8) -> Option<()>) -> Option<()> {
    loop {
        if (*low ^ low.wrapping_add(*range)) >= TOP {
            if *range >= BOTTOM {
                return Some(());
            }
            *range = low.wrapping_neg() & (BOTTOM - 1);
        }
        shift((*low >> 24) as u8)?;
        *range <<= 8;
        *low <<= 8;
    }
}

struct Encoder<'o> {
    low: u32,
    range: u32,
    out: &'o mut [u8],
    at: usize,
}

impl Encoder<'_> {
    #[inline]
    fn put(&mut self, under: u16, count: u16, total: u16) -> Option<()> {
        self.range /= u32::from(total);
        self.low = self.low.wrapping_add(u32::from(under).wrapping_mul(self.range));
        self.range = self.range.wrapping_mul(u32::from(count));
        let (out, at) = (&mut *self.out, &mut self.at);
        narrow(&mut self.low, &mut self.range, |byte| {
            *out.get_mut(*at)? = byte;
            *at += 1;
            Some(())
        })
    }

    fn finish(mut self) -> Option<usize> {
        while self.low != 0 {
            *self.out.get_mut(self.at)? = (self.low >> 24) as u8;
            self.at += 1;
            self.low <<= 8;
        }
        Some(self.at)
    }
}

struct Decoder<'b> {
    low: u32,
    range: u32,
    code: u32,
    bytes: &'b [u8],
}

impl<'b> Decoder<'b> {
    fn new(bytes: &'b [u8]) -> Decoder<'b> {
        let mut decoder = Decoder { low: 0, range: u32::MAX, code: 0, bytes };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.byte();
        }
        decoder
    }

    // Zeros at the end are not sent.
    #[inline]
    fn byte(&mut self) -> u32 {
        let Some((&byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        u32::from(byte)
    }

    /// Where the code stands in a range of `total`. No encoder leaves it outside.
    #[inline]
    fn read(&mut self, total: u16) -> Option<u16> {
        self.range /= u32::from(total);
        let code = self.code.wrapping_sub(self.low).checked_div(self.range)?;
        (code < u32::from(total)).then_some(code as u16)
    }

    /// Goes on behind a symbol; [`read`](Decoder::read) has divided the range.
    #[inline]
    fn take(&mut self, under: u16, count: u16) -> Option<()> {
        self.low = self.low.wrapping_add(u32::from(under).wrapping_mul(self.range));
        self.range = self.range.wrapping_mul(u32::from(count));
        if self.range == 0 {
            return None;
        }
        let (code, bytes) = (&mut self.code, &mut self.bytes);
        narrow(&mut self.low, &mut self.range, |_| {
            *code <<= 8;
            if let Some((&byte, rest)) = bytes.split_first() {
                *bytes = rest;
                *code |= u32::from(byte);
            }
            Some(())
        })
    }
}
