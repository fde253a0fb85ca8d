//! One record, one writer at a time, any number of readers that never write.
//!
//! Word 0 of a slot is the sequence: even when the payload is whole, odd while it is written.
//!
//! **Invariant.** A payload returned by [`read`] was written whole by one [`write()`]. A writer that
//! stops for ever in the middle leaves the sequence odd, and the slot reads as torn from then on
//! until the slot's owner writes it again.
//!
//! Who may write is the caller's business: live records have one owner per slot (whoever owns the
//! block), the status block and the module table are written under the tick's try-lock.

use crate::primitive::{AtomicU64, Ordering, fence, spin_loop};

/// What a reader found in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<const N: usize> {
    /// A whole payload.
    Whole([u64; N]),
    /// A writer was in the middle of the slot (or died there) each time it was looked at.
    Torn,
}

/// How often a reader tries again before it calls a slot torn.
const READ_ATTEMPTS: u32 = 16;

/// Writes `payload` into the words behind the sequence word. Missing words are ignored.
#[inline]
pub fn write(slot: &[AtomicU64], payload: &[u64]) {
    let Some((sequence, words)) = slot.split_first() else {
        return;
    };
    // Relaxed: the slot has one writer, so nobody else moves the sequence.
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    // SYNC(seqlock-open): Release; pairs with the Acquire fence in `read`. A reader that saw any
    // word stored below also sees the odd sequence, and so does not take the payload for whole.
    fence(Ordering::Release);
    for (word, value) in words.iter().zip(payload) {
        // Relaxed: ordered by the fence above and the Release store below.
        word.store(*value, Ordering::Relaxed);
    }
    // SYNC(seqlock-close): Release; pairs with the Acquire load in `read`; makes the payload visible.
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

/// Reads a whole payload of `N` words, or says that there was none to be had.
#[inline]
#[must_use]
pub fn read<const N: usize>(slot: &[AtomicU64]) -> Read<N> {
    let Some((sequence, words)) = slot.split_first() else {
        return Read::Torn;
    };
    if words.len() < N {
        return Read::Torn;
    }
    for _ in 0..READ_ATTEMPTS {
        // SYNC(seqlock-close): Acquire; pairs with the closing Release store in `write`.
        let before = sequence.load(Ordering::Acquire);
        if before & 1 == 1 {
            spin_loop();
            continue;
        }
        let mut payload = [0; N];
        for (value, word) in payload.iter_mut().zip(words) {
            // Relaxed: checked by the second look at the sequence.
            *value = word.load(Ordering::Relaxed);
        }
        // SYNC(seqlock-open): Acquire; pairs with the Release fence in `write`.
        fence(Ordering::Acquire);
        // Relaxed: ordered behind the words by the fence.
        if sequence.load(Ordering::Relaxed) == before {
            return Read::Whole(payload);
        }
    }
    Read::Torn
}
