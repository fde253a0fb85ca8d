//! Records of the ring under test, and the account that its writers keep outside of it.

use riptide_region::{
    primitive::{AtomicU64, Ordering},
    ring::{PAYLOAD_WORDS, Payload, Publish},
};

/// Writers of the test.
pub const WRITERS: usize = 4;
/// Records that a writer publishes at most.
pub const RECORDS_MAX: usize = 1 << 18;
/// Words of the account.
pub const WITNESS_WORDS: usize = WRITERS * (RECORDS_MAX + 8);

/// The record `number` of `writer`, sealed by a checksum.
#[must_use]
pub fn record(writer: usize, number: usize) -> Payload {
    let (writer, number) = (writer as u64, number as u64);
    let body = [
        writer,
        number,
        !number,
        writer.rotate_left(40) ^ number,
        number << 7,
    ];
    let [first, second, third, fourth, fifth] = body;
    [first, second, third, fourth, fifth, checksum(&body)]
}

/// Writer and number of a record; `None` when it is not what one writer wrote.
#[must_use]
pub fn read_record(payload: &Payload) -> Option<(usize, usize)> {
    let [writer, number, ..] = *payload;
    let (writer, number) = (usize::try_from(writer).ok()?, usize::try_from(number).ok()?);
    (*payload == record(writer, number)).then_some((writer, number))
}

fn checksum(body: &[u64; PAYLOAD_WORDS - 1]) -> u64 {
    body.iter().fold(0xcbf2_9ce4_8422_2325, |state, word| {
        (state ^ word)
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23)
    })
}

/// What a writer says of one of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Published under this ticket.
    Published(u64),
    /// Given up under this ticket.
    Dropped(u64),
}

/// One writer's account: how many records it began, and what became of each.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'a> {
    begun: &'a AtomicU64,
    fates: &'a [AtomicU64],
}

impl<'a> Witness<'a> {
    /// The account of `writer` in `words`.
    #[must_use]
    pub fn new(words: &'a [AtomicU64], writer: usize) -> Option<Self> {
        let own = words.chunks_exact(RECORDS_MAX + 8).nth(writer)?;
        Some(Self {
            begun: own.first()?,
            fates: own.get(8..)?,
        })
    }

    /// Notes that a record is about to be published.
    pub fn begin(&self, number: usize) {
        // Relaxed, here and below: read only after the process is gone.
        self.begun.store(number as u64 + 1, Ordering::Relaxed);
    }

    /// Notes what became of it.
    pub fn end(&self, number: usize, outcome: Publish) {
        let word = match outcome {
            Publish::Published(ticket) => ticket << 2 | 1,
            Publish::Dropped(ticket) => ticket << 2 | 2,
        };
        if let Some(fate) = self.fates.get(number) {
            fate.store(word, Ordering::Relaxed);
        }
    }

    /// Records begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed) as usize
    }

    /// Fates of the records whose end was noted, in order.
    pub fn fates(&self) -> impl Iterator<Item = Fate> {
        let words = self.fates.iter().map(|word| word.load(Ordering::Relaxed));
        words.map_while(|word| match word & 3 {
            1 => Some(Fate::Published(word >> 2)),
            2 => Some(Fate::Dropped(word >> 2)),
            _ => None,
        })
    }
}
