//! Frees that came after jemalloc's figures: what was live when those were taken is what is live
//! now, less what was born since, and what was freed since.

use riptide_region::{
    event::{Event, EventKind},
    status::Status,
};

/// Frees kept at most; above, they count as not known.
const FREES_MAX: usize = 1 << 16;
const SHARD_SHIFT: u32 = 48;
const TICKET_MASK: u64 = (1 << SHARD_SHIFT) - 1;

/// A sampled block that was freed a short while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Requested bytes.
    pub size: u64,
    /// Sampling interval in force when the block was drawn, in bytes.
    pub interval: u64,
    /// Number of the sample, as in [`LiveSample`](super::LiveSample).
    pub number: u64,
    shard: u32,
    ticket: u64,
}

/// Frees by ring, as far back as the journal goes.
#[derive(Clone, Debug, Default)]
pub struct RecentFrees {
    frees: Vec<Freed>,
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

impl RecentFrees {
    /// Frees after jemalloc's last epoch of blocks that were live at it; `None` when not all of
    /// them are known.
    pub fn of_epoch<'a>(&'a self, status: &'a Status) -> Option<impl Iterator<Item = &'a Freed>> {
        let mut rings = self.known_from.iter().zip(status.ring_heads);
        let complete = rings.all(|(from, head)| head.is_some_and(|head| *from <= head));
        complete.then(|| {
            self.frees.iter().filter(move |freed| {
                let head = status.ring_heads.get(freed.shard as usize).copied();
                head.flatten().is_some_and(|head| freed.ticket >= head)
                    && is_after_epoch(status, freed.number) == Some(false)
            })
        })
    }

    /// Begins with `rings` rings, known from these tickets on.
    pub(super) fn begin(&mut self, known_from: Vec<u64>) {
        self.frees.clear();
        self.known_from = known_from;
    }

    /// Takes note of a record of the ring `shard`.
    pub(super) fn note(&mut self, shard: usize, ticket: u64, event: &Event) {
        if !matches!(event.kind, EventKind::Free { .. }) {
            return;
        }
        if self.frees.len() >= FREES_MAX {
            self.frees.clear();
            let none = |from: &mut u64| *from = (*from).max(ticket.saturating_add(1));
            self.known_from.iter_mut().for_each(none);
        }
        self.frees.push(Freed {
            size: event.size,
            interval: event.interval,
            number: event.number,
            shard: u32::try_from(shard).unwrap_or(u32::MAX),
            ticket,
        });
    }

    /// Records of a ring below this ticket may have been lost.
    pub(super) fn lost(&mut self, shard: usize, below: u64) {
        if let Some(from) = self.known_from.get_mut(shard) {
            *from = (*from).max(below);
        }
    }

    /// Forgets what came before jemalloc's last epoch.
    pub(super) fn prune(&mut self, status: &Status) {
        self.frees.retain(|freed| {
            let head = status.ring_heads.get(freed.shard as usize).copied();
            head.flatten().is_none_or(|head| freed.ticket >= head)
        });
    }
}
