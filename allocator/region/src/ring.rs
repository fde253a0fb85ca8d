//! The journal: a ring that many threads write and any number of readers follow, overwriting the
//! oldest records and accounting for every one of them.
//!
//! A slot is eight words `{sequence, dropped, payload × 6}`. A writer draws a dense *ticket* `t`
//! from `head`; the ticket belongs to slot `t mod capacity`. `sequence` is `2t + 1` while ticket
//! `t` is written and `2t + 2` once it is published; `dropped` tells which of the latest tickets of
//! the slot were given up: `1 +` the newest such lap (`t / capacity`) in its upper 48 bits, and in
//! bit `n` of the lower 16 whether the lap `n` before that one was given up as well.
//!
//! **Invariant.** `head = delivered + overwritten + dropped + torn + in_flight` for a [`Cursor`]
//! that started at ticket 0 (for another, `head - start`). Each ticket is classed once:
//! * *delivered*: its record was read whole;
//! * *overwritten*: a newer ticket was found in its slot, or the reader came more than one
//!   capacity late;
//! * *dropped*: its writer found the slot held by another writer, or already newer, and said so;
//! * *torn*: the process is gone and the record was never finished;
//! * *in flight*: drawn, not finished yet. Kept aside and looked at again; never waited for.
//!
//! So `delivered`, `dropped` and `torn` never say more than the writers would. What they leave open
//! counts as overwritten: a record whose writer has not said yet that it gave up, one that was given
//! up so many laps ago that the slot has forgotten it, and one that a cursor could not keep aside.
//!
//! A writer never waits: one that is stopped in the middle of a slot costs the records that
//! would have gone into this slot, one per lap, each counted.

use crate::primitive::{AtomicU64, Ordering, fence};

/// Words of one slot.
pub const SLOT_WORDS: usize = 8;
/// Words of a record.
pub const PAYLOAD_WORDS: usize = 6;
/// Words before the first slot: `head`, and on a cache line pair of its own `dropped`.
pub const RING_HEADER_WORDS: usize = 32;
const HEAD_WORD: usize = 0;
const DROPPED_WORD: usize = 16;
/// Laps of a slot of which `dropped` tells whether they were given up.
const LAPS_KEPT: u32 = 16;
const LAPS_MASK: u64 = (1 << LAPS_KEPT) - 1;
const MARK_ATTEMPTS: u32 = 64;
/// Unfinished tickets that a cursor keeps aside.
const PENDING_MAX: usize = 64;

/// A record of the ring.
pub type Payload = [u64; PAYLOAD_WORDS];

/// What became of a published record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// In the ring under this ticket.
    Published(u64),
    /// Given up under this ticket, and counted.
    Dropped(u64),
}

/// Both ends of one ring (one shard of the journal).
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    head: &'a AtomicU64,
    dropped: &'a AtomicU64,
    slots: &'a [AtomicU64],
    /// Slots, a power of two.
    capacity: u64,
}

impl<'a> Ring<'a> {
    /// A ring over `words`: [`RING_HEADER_WORDS`], then a power of two of slots.
    ///
    /// `None` when the words do not hold exactly that.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let head = words.get(HEAD_WORD)?;
        let dropped = words.get(DROPPED_WORD)?;
        let slots = words.get(RING_HEADER_WORDS..)?;
        let capacity = slots.len() / SLOT_WORDS;
        if !slots.len().is_multiple_of(SLOT_WORDS) || !capacity.is_power_of_two() {
            return None;
        }
        Some(Self {
            head,
            dropped,
            slots,
            capacity: capacity as u64,
        })
    }

    /// Tickets drawn since the ring was made.
    #[must_use]
    pub fn head(&self) -> u64 {
        // Relaxed: a ticket's record carries its own ordering in the slot's sequence.
        self.head.load(Ordering::Relaxed)
    }

    /// Records that their writers gave up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        // Relaxed: a statistic.
        self.dropped.load(Ordering::Relaxed)
    }

    /// Slots of the ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The slot of a ticket: always there, as the index is masked to the capacity.
    fn slot(&self, ticket: u64) -> Option<Slot<'a>> {
        let index = (ticket & (self.capacity - 1)) as usize * SLOT_WORDS;
        let (sequence, rest) = self.slots.get(index..index + SLOT_WORDS)?.split_first()?;
        let (dropped, payload) = rest.split_first()?;
        Some(Slot {
            sequence,
            dropped,
            payload,
        })
    }

    /// First word of the record that `ticket` will be written to, for a writer that wants it in its cache.
    #[must_use]
    #[inline]
    pub fn place_of(&self, ticket: u64) -> Option<&'a AtomicU64> {
        self.slot(ticket).map(|slot| slot.sequence)
    }

    /// Appends a record. Never waits; when the slot is taken the record is dropped and counted.
    #[inline]
    pub fn publish(&self, payload: &Payload) -> Publish {
        // Relaxed: the ticket only has to be unique; the record is published through its slot.
        let ticket = self.head.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.slot(ticket) else {
            return Publish::Dropped(ticket);
        };
        if !slot.claim(ticket) {
            // Relaxed: a statistic.
            self.dropped.fetch_add(1, Ordering::Relaxed);
            slot.mark_dropped(self.lap(ticket));
            return Publish::Dropped(ticket);
        }
        slot.fill(ticket, payload);
        Publish::Published(ticket)
    }

    /// Draws and claims a ticket and stops there, as a thread does that is killed in the middle of
    /// a record. For tests of the loss accounting.
    #[doc(hidden)]
    pub fn claim_and_stop(&self) -> u64 {
        let ticket = self.head.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = self.slot(ticket) {
            slot.claim(ticket);
        }
        ticket
    }

    /// How often the ring had gone round before `ticket`.
    fn lap(&self, ticket: u64) -> u64 {
        ticket >> self.capacity.trailing_zeros()
    }

    /// Looks at one ticket.
    fn class(&self, ticket: u64) -> Class {
        let Some(slot) = self.slot(ticket) else {
            return Class::Overwritten;
        };
        let published = published(ticket);
        // SYNC(record-published): Acquire; pairs with the Release store in `Slot::fill`.
        let sequence = slot.sequence.load(Ordering::Acquire);
        if sequence == published {
            let mut payload = [0; PAYLOAD_WORDS];
            for (value, word) in payload.iter_mut().zip(slot.payload) {
                // Relaxed: checked by the second look at the sequence.
                *value = word.load(Ordering::Relaxed);
            }
            // SYNC(slot-claimed): Acquire; pairs with the Release fence in `Slot::claim`.
            fence(Ordering::Acquire);
            // Relaxed: ordered behind the words by the fence.
            return if slot.sequence.load(Ordering::Relaxed) == published {
                Class::Delivered(payload)
            } else {
                Class::Overwritten
            };
        }
        match slot.fate(self.lap(ticket)) {
            Fate::Dropped => Class::Dropped,
            _ if sequence > published => Class::Overwritten,
            // An older writer has held the slot for so long that nobody can tell any more.
            Fate::Forgotten if sequence != writing(ticket) => Class::Overwritten,
            // Its own writer, or an older one that holds the slot, is at work (or stopped).
            Fate::Forgotten | Fate::Unsaid => Class::InFlight,
        }
    }
}

/// `sequence` of a slot while `ticket` is written.
fn writing(ticket: u64) -> u64 {
    ticket.wrapping_mul(2).wrapping_add(1)
}

/// `sequence` of a slot once `ticket` is published.
fn published(ticket: u64) -> u64 {
    ticket.wrapping_mul(2).wrapping_add(2)
}

struct Slot<'a> {
    sequence: &'a AtomicU64,
    dropped: &'a AtomicU64,
    payload: &'a [AtomicU64],
}

impl Slot<'_> {
    /// Takes the slot for `ticket` if it is whole and older.
    fn claim(&self, ticket: u64) -> bool {
        // Relaxed: the exchange below decides.
        let current = self.sequence.load(Ordering::Relaxed);
        if current & 1 == 1 || current > writing(ticket) {
            return false;
        }
        // Acquire: pairs with the Release store in `fill` of the record that lies in the slot, so
        // that its words come before ours in the order of each word. A failed exchange means that
        // another ticket of this slot is at work.
        let claimed = self
            .sequence
            .compare_exchange(
                current,
                writing(ticket),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok();
        // SYNC(slot-claimed): Release; pairs with the Acquire fence in `Ring::class`. A reader that
        // saw any word stored by `fill` also sees the odd sequence.
        fence(Ordering::Release);
        claimed
    }

    /// Writes and publishes the record of a claimed slot.
    fn fill(&self, ticket: u64, payload: &Payload) {
        for (word, value) in self.payload.iter().zip(payload) {
            // Relaxed: ordered by the fence in `claim` and the Release store below.
            word.store(*value, Ordering::Relaxed);
        }
        // SYNC(record-published): Release; pairs with the Acquire load in `Ring::class`.
        self.sequence.store(published(ticket), Ordering::Release);
    }

    /// Says that the ticket of `lap` was given up.
    fn mark_dropped(&self, lap: u64) {
        // Relaxed: the exchange below decides.
        let mut current = self.dropped.load(Ordering::Relaxed);
        // Only writers that give up this very slot meet here. Bounded all the same, so that nobody
        // ever waits: a mark that finds no way in leaves its ticket to count as overwritten.
        for _ in 0..MARK_ATTEMPTS {
            let newest = current >> LAPS_KEPT;
            let mine = lap.wrapping_add(1);
            let marked = if mine > newest {
                let older = (current & LAPS_MASK)
                    .checked_shl(u32::try_from(mine - newest).unwrap_or(u32::MAX))
                    .unwrap_or(0);
                mine << LAPS_KEPT | (older | 1) & LAPS_MASK
            } else if newest - mine < u64::from(LAPS_KEPT) {
                current | 1 << (newest - mine)
            } else {
                return;
            };
            // SYNC(ticket-dropped): Release; pairs with the Acquire load in `Slot::was_dropped`.
            match self.dropped.compare_exchange_weak(
                current,
                marked,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => current = other,
            }
        }
    }

    /// What the slot says of the ticket of `lap`.
    fn fate(&self, lap: u64) -> Fate {
        // SYNC(ticket-dropped): Acquire; pairs with the Release exchange in `Slot::mark_dropped`.
        let marks = self.dropped.load(Ordering::Acquire);
        match (marks >> LAPS_KEPT).checked_sub(lap.wrapping_add(1)) {
            None => Fate::Unsaid,
            Some(age) if age >= u64::from(LAPS_KEPT) => Fate::Forgotten,
            Some(age) if marks >> age & 1 == 1 => Fate::Dropped,
            Some(_) => Fate::Unsaid,
        }
    }
}

/// Whether a ticket was given up.
enum Fate {
    Dropped,
    /// Not, or its writer has not said so yet.
    Unsaid,
    /// Too many laps ago to tell.
    Forgotten,
}

enum Class {
    Delivered(Payload),
    Overwritten,
    Dropped,
    InFlight,
}

/// What became of the tickets that a [`Cursor`] has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Records handed to the reader.
    pub delivered: u64,
    /// Records that a newer one had replaced.
    pub overwritten: u64,
    /// Records that their writers gave up.
    pub dropped: u64,
    /// Records that were never finished.
    pub torn: u64,
    /// Tickets drawn and not finished at the last poll.
    pub in_flight: u64,
}

/// One reader's place in one ring.
#[derive(Clone, Debug)]
pub struct Cursor {
    start: u64,
    next: u64,
    account: Account,
    pending: [u64; PENDING_MAX],
    pending_len: usize,
}

impl Cursor {
    /// A cursor at `ticket`: 0 to account for all that ever was, `ring.head()` for the future only,
    /// [`Cursor::oldest`] for what is still in the ring.
    #[must_use]
    pub fn at(ticket: u64) -> Self {
        Self {
            start: ticket,
            next: ticket,
            account: Account::default(),
            pending: [0; PENDING_MAX],
            pending_len: 0,
        }
    }

    /// A cursor at the oldest record that is still in the ring.
    #[must_use]
    pub fn oldest(ring: &Ring<'_>) -> Self {
        Self::at(ring.head().saturating_sub(ring.capacity()))
    }

    /// Ticket at which this cursor began.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// What became of the tickets since [`Cursor::start`].
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            in_flight: self.pending_len as u64,
            ..self.account
        }
    }

    /// Hands every record since the last poll to `deliver` as `(ticket, record)`, in the order of
    /// the tickets but for those that were in flight before.
    ///
    /// `writers_gone` says that nobody writes any more: what is unfinished is torn. Looks at no
    /// more than one capacity of tickets, so a hostile `head` costs a bounded time.
    pub fn poll(
        &mut self,
        ring: &Ring<'_>,
        writers_gone: bool,
        mut deliver: impl FnMut(u64, &Payload),
    ) {
        self.look_again(ring, writers_gone, &mut deliver);
        let head = ring.head();
        if head <= self.next {
            return;
        }
        let behind = head - self.next;
        if behind > ring.capacity() {
            let lost = behind - ring.capacity();
            self.account.overwritten = self.account.overwritten.saturating_add(lost);
            self.next += lost;
        }
        while self.next < head {
            let ticket = self.next;
            self.next += 1;
            if !self.settle(ring.class(ticket), ticket, &mut deliver) {
                if writers_gone {
                    self.account.torn += 1;
                } else {
                    self.keep(ticket);
                }
            }
        }
    }

    fn look_again(
        &mut self,
        ring: &Ring<'_>,
        writers_gone: bool,
        deliver: &mut impl FnMut(u64, &Payload),
    ) {
        let waiting = self.pending;
        let len = core::mem::take(&mut self.pending_len);
        for ticket in waiting.into_iter().take(len) {
            if !self.settle(ring.class(ticket), ticket, deliver) {
                if writers_gone {
                    self.account.torn += 1;
                } else {
                    self.keep(ticket);
                }
            }
        }
    }

    /// Keeps an unfinished ticket aside; with too many of them the oldest counts as overwritten.
    fn keep(&mut self, ticket: u64) {
        if self.pending_len == PENDING_MAX {
            self.pending.rotate_left(1);
            self.pending_len -= 1;
            self.account.overwritten += 1;
        }
        if let Some(place) = self.pending.get_mut(self.pending_len) {
            *place = ticket;
            self.pending_len += 1;
        }
    }

    /// Counts a finished ticket; false when it is still in flight.
    fn settle(
        &mut self,
        class: Class,
        ticket: u64,
        deliver: &mut impl FnMut(u64, &Payload),
    ) -> bool {
        match class {
            Class::Delivered(payload) => {
                self.account.delivered += 1;
                deliver(ticket, &payload);
            }
            Class::Overwritten => self.account.overwritten += 1,
            Class::Dropped => self.account.dropped += 1,
            Class::InFlight => return false,
        }
        true
    }
}
