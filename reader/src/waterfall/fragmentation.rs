//! Fragmentation by size class, and by the sites whose live blocks keep the slabs.
//!
//! jemalloc gives a slab back only when its last block is freed. What a class wastes (its slabs less
//! the blocks in use) is spread over the sites by their shares of the live blocks of the class, as
//! the samples estimate them: those are the blocks that hold the slabs.

use std::collections::HashMap;

use riptide_region::bins::Bin;
use serde::Serialize;

use crate::{
    estimate::weigh, ingest::Observation, profile::Frame, size_class::usable_size_aligned,
};

/// Sites listed.
const SITES_MAX: usize = 20;

/// Function, file and line of a site.
type Leaf = (String, Option<String>, Option<u32>);

/// How full a size class is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BinRow {
    /// Usable bytes of a block.
    pub size: u64,
    /// Blocks in use, free ones in the caches of threads included.
    pub blocks: u64,
    /// Slabs.
    pub slabs: u64,
    /// Slabs with room that are not being filled.
    pub nonfull_slabs: u64,
    /// Share of the slabs' room that is in use.
    pub occupancy: f64,
    /// Bytes of the slabs that no block uses.
    pub waste_bytes: u64,
}

/// What a site's live blocks keep from being given back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SiteWaste {
    /// Function of the leaf.
    pub function: String,
    /// Source file of the leaf.
    pub file: Option<String>,
    /// Line of the leaf.
    pub line: Option<u32>,
    /// Bytes, estimated.
    pub waste_bytes: u64,
    /// Usable bytes of the site's live blocks in these classes, estimated.
    pub live_bytes: u64,
    /// Live samples behind the figure.
    pub samples: u64,
}

/// What small blocks waste: `active` less `allocated`, but for large blocks' own padding.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fragmentation {
    /// Seconds since jemalloc was asked; `None` if it never was.
    pub age_seconds: Option<f64>,
    /// Seconds that the target took to ask.
    pub cost_seconds: f64,
    /// Bytes of slabs that no block uses.
    pub waste_bytes: u64,
    /// Bytes of all slabs.
    pub slab_bytes: u64,
    /// Of the waste, what lies in classes without a live sample.
    pub unattributed_bytes: u64,
    /// Size classes with waste, most first.
    pub bins: Vec<BinRow>,
    /// Sites, most waste first.
    pub sites: Vec<SiteWaste>,
}

fn waste_of(bin: &Bin) -> u64 {
    let slabs = bin.slabs.saturating_mul(bin.slab_bytes);
    slabs.saturating_sub(bin.blocks.saturating_mul(bin.size))
}

fn row_of(bin: &Bin) -> BinRow {
    let room = bin.slabs.saturating_mul(bin.slab_blocks).max(1);
    BinRow {
        size: bin.size,
        blocks: bin.blocks,
        slabs: bin.slabs,
        nonfull_slabs: bin.nonfull_slabs,
        occupancy: (bin.blocks as f64 / room as f64).min(1.0),
        waste_bytes: waste_of(bin),
    }
}

/// What the live samples of one stack stand for in one class.
#[derive(Clone, Copy, Default)]
struct Share {
    objects: f64,
    samples: u64,
}

impl Fragmentation {
    /// Spreads the waste of each class over the sites. `leaf_of` names the site of a stack.
    pub(crate) fn of<'a>(
        observation: &Observation,
        leaf_of: impl Fn(usize) -> Option<&'a Frame>,
    ) -> Self {
        let bins = observation.bins.all();
        let mut shares: HashMap<(usize, usize), Share> = HashMap::new();
        for record in &observation.live {
            let size = usable_size_aligned(record.size, record.align_log2);
            if let Ok(class) = bins.binary_search_by_key(&size, |bin| bin.size) {
                let share = shares.entry((class, record.stack.place())).or_default();
                share.objects += weigh(record.size, record.interval).objects;
                share.samples += 1;
            }
        }
        let mut totals = vec![0.0; bins.len()];
        for ((class, _), share) in &shares {
            if let Some(total) = totals.get_mut(*class) {
                *total += share.objects;
            }
        }
        let mut sites: HashMap<Leaf, (f64, f64, u64)> = HashMap::new();
        for ((class, place), share) in &shares {
            let (Some(bin), Some(total)) = (bins.get(*class), totals.get(*class)) else {
                continue;
            };
            let leaf = leaf_of(*place).map_or_else(
                || ("[unknown]".to_owned(), None, None),
                |frame| (frame.function.clone(), frame.file.clone(), frame.line),
            );
            let site = sites.entry(leaf).or_default();
            site.0 += waste_of(bin) as f64 * share.objects / total.max(f64::MIN_POSITIVE);
            site.1 += share.objects * bin.size as f64;
            site.2 += share.samples;
        }
        let mut sites: Vec<SiteWaste> = sites
            .into_iter()
            .map(
                |((function, file, line), (waste, live, samples))| SiteWaste {
                    function,
                    file,
                    line,
                    waste_bytes: waste as u64,
                    live_bytes: live as u64,
                    samples,
                },
            )
            .filter(|site| site.waste_bytes > 0)
            .collect();
        sites.sort_by(|a, b| {
            let name = |site: &SiteWaste| (site.function.clone(), site.line);
            b.waste_bytes
                .cmp(&a.waste_bytes)
                .then_with(|| name(a).cmp(&name(b)))
        });
        sites.truncate(SITES_MAX);
        let sum = |figure: &dyn Fn(&Bin) -> u64| {
            let figures = bins.iter().map(figure);
            figures.fold(0, u64::saturating_add)
        };
        let unattributed = bins.iter().zip(&totals).filter(|(_, total)| **total == 0.0);
        let unattributed = unattributed.map(|(bin, _)| waste_of(bin));
        let mut rows: Vec<BinRow> = bins.iter().map(row_of).collect();
        rows.retain(|row| row.waste_bytes > 0);
        rows.sort_by_key(|row| std::cmp::Reverse(row.waste_bytes));
        Self {
            age_seconds: (observation.bins.time_ns > 0)
                .then(|| observation.time_ns.saturating_sub(observation.bins.time_ns) as f64 / 1e9),
            cost_seconds: observation.bins.took_ns as f64 / 1e9,
            waste_bytes: sum(&waste_of),
            slab_bytes: sum(&|bin| bin.slabs.saturating_mul(bin.slab_bytes)),
            unattributed_bytes: unattributed.fold(0, u64::saturating_add),
            bins: rows,
            sites,
        }
    }
}

#[cfg(test)]
mod tests {
    use riptide_region::bins::Bins;

    use super::*;
    use crate::ingest::LiveSample;

    fn bin(size: u64, blocks: u64, slabs: u64) -> Bin {
        Bin {
            size,
            slab_bytes: 4_096,
            slab_blocks: 4_096 / size,
            blocks,
            slabs,
            nonfull_slabs: slabs,
        }
    }

    #[test]
    fn waste_goes_to_the_sites_that_hold_the_slabs() {
        let mut observation = Observation {
            bins: Bins::at(1),
            ..Observation::default()
        };
        observation.bins.push(bin(64, 64, 101));
        observation.bins.push(bin(128, 0, 10));
        let stacks = [
            observation.stacks.add(&[1], false, 0),
            observation.stacks.add(&[2], false, 0),
        ];
        for (number, stack) in [
            (0, stacks[0]),
            (1, stacks[0]),
            (2, stacks[0]),
            (3, stacks[1]),
        ] {
            observation.live.push(LiveSample {
                size: 50,
                interval: 1,
                birth_ns: 0,
                number,
                stack,
                thread: 1,
                align_log2: 0,
            });
        }
        let frame = |function: &str| Frame {
            function: function.to_owned(),
            file: None,
            line: None,
            inlined: false,
            module: None,
        };
        let frames = [frame("many"), frame("few")];
        let found = Fragmentation::of(&observation, |place| {
            frames.get(stacks.iter().position(|stack| stack.place() == place)?)
        });
        assert_eq!(found.waste_bytes, 100 * 4_096 + 10 * 4_096);
        assert_eq!(found.unattributed_bytes, 10 * 4_096);
        let sites: Vec<_> = found
            .sites
            .iter()
            .map(|site| (site.function.as_str(), site.waste_bytes, site.samples))
            .collect();
        assert_eq!(sites, [("many", 75 * 4_096, 3), ("few", 25 * 4_096, 1)]);
        assert_eq!(found.bins[0].size, 64);
    }
}
