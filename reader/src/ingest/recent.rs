//! What came and went after jemalloc's figures were taken: what was live then is what is live now,
//! less what was born since, and what was freed since.

use riptide_region::{
    event::{Event, EventKind},
    layout::DENSE_RINGS,
    status::Status,
};

/// Events kept at most; above, they count as not known.
const EVENTS_MAX: usize = 1 << 17;
const SHARD_SHIFT: u32 = 48;
const TICKET_MASK: u64 = (1 << SHARD_SHIFT) - 1;

/// A sampled block that came or went a short while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentEvent {
    /// Whether the block's record ended.
    pub is_free: bool,
    /// Requested bytes.
    pub size: u64,
    /// Sampling interval in force when the block was drawn, in bytes.
    pub interval: u64,
    /// Nanoseconds of the region's clock.
    pub time_ns: u64,
    /// Number of the sample that was freed, as in [`LiveSample`](super::LiveSample).
    number: u64,
    shard: u32,
    ticket: u64,
}

/// Events by ring, as far back as the journal goes.
#[derive(Clone, Debug, Default)]
pub struct RecentEvents {
    events: Vec<RecentEvent>,
    /// For each ring, the first ticket from which on all are known.
    known_from: Vec<u64>,
}

/// Whether a sample was made after jemalloc's last epoch; `None` when the region does not tell.
#[must_use]
pub fn is_after_epoch(status: &Status, number: u64) -> Option<bool> {
    let shard = usize::try_from(number >> SHARD_SHIFT).ok()?;
    let head = status.ring_heads.get(shard).copied().flatten()?;
    Some(number & TICKET_MASK >= head & TICKET_MASK)
}

fn head_of(status: &Status, event: &RecentEvent) -> Option<u64> {
    let shard = usize::try_from(event.shard).ok()?;
    status.ring_heads.get(shard).copied().flatten()
}

impl RecentEvents {
    /// Bytes kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.events.capacity() * size_of::<RecentEvent>()
    }

    /// Events after jemalloc's last epoch, in the order of their rings; `None` when not all of them
    /// are known.
    pub fn since_epoch<'a>(
        &'a self,
        status: &'a Status,
    ) -> Option<impl Iterator<Item = &'a RecentEvent>> {
        let mut rings = self.known_from.iter().zip(status.ring_heads);
        let complete = rings.all(|(from, head)| head.is_some_and(|head| *from <= head));
        complete.then(|| {
            self.events.iter().filter(move |event| {
                head_of(status, event).is_some_and(|head| event.ticket >= head)
            })
        })
    }

    /// Begins with rings that are known from these tickets on.
    pub(crate) fn begin(&mut self, known_from: Vec<u64>) {
        self.events.clear();
        self.known_from = known_from;
    }

    /// Takes note of a record of the ring `shard`.
    pub(crate) fn note(&mut self, shard: usize, ticket: u64, event: &Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.clear();
            let none = |from: &mut u64| *from = (*from).max(ticket.saturating_add(1));
            self.known_from.iter_mut().for_each(none);
        }
        self.events.push(RecentEvent {
            is_free: event.kind != EventKind::Allocation,
            size: event.size,
            interval: event.interval,
            time_ns: event.time_ns,
            number: event.number,
            shard: u32::try_from(shard).unwrap_or(u32::MAX),
            ticket,
        });
    }

    /// Records of a ring below this ticket may have been lost.
    pub(crate) fn lost(&mut self, shard: usize, below: u64) {
        if let Some(from) = self.known_from.get_mut(shard) {
            *from = (*from).max(below);
        }
    }

    /// Most numbers that [`RecentEvents::to_words`] makes.
    pub(crate) const WORDS_MAX: usize = 1 + DENSE_RINGS as usize + EVENTS_MAX * 6;

    /// Everything as numbers, for a recording.
    pub(crate) fn to_words(&self) -> Vec<u64> {
        let mut words = vec![self.known_from.len() as u64];
        words.extend(&self.known_from);
        for event in &self.events {
            words.extend([
                u64::from(event.is_free) | u64::from(event.shard) << 1,
                event.size,
                event.interval,
                event.time_ns,
                event.number,
                event.ticket,
            ]);
        }
        words
    }

    /// The reverse of [`RecentEvents::to_words`].
    pub(crate) fn from_words(words: &[u64]) -> Option<Self> {
        let (rings, rest) = words.split_first()?;
        let (known_from, events) = rest.split_at_checked(usize::try_from(*rings).ok()?)?;
        let events = events.chunks(6).map(|event| {
            let [head, size, interval, time_ns, number, ticket] = *event else {
                return None;
            };
            Some(RecentEvent {
                is_free: head & 1 == 1,
                size,
                interval,
                time_ns,
                number,
                shard: u32::try_from(head >> 1).ok()?,
                ticket,
            })
        });
        Some(Self {
            events: events.take(EVENTS_MAX).collect::<Option<_>>()?,
            known_from: known_from.to_vec(),
        })
    }

    /// Forgets what came before jemalloc's last epoch.
    pub(crate) fn prune(&mut self, status: &Status) {
        self.events
            .retain(|event| head_of(status, event).is_none_or(|head| event.ticket >= head));
    }
}

impl RecentEvent {
    /// Whether this is the free of a block that was live at jemalloc's last epoch.
    #[must_use]
    pub fn ends_older_block(&self, status: &Status) -> bool {
        self.is_free && is_after_epoch(status, self.number) == Some(false)
    }
}
