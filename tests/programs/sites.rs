//! Blocks of many kinds, each kind made in a function of its own, with exactly known live bytes.
//!
//! `victim-sites [SCALE]`: with scale 100 about 200 MB are live.
#![expect(
    unsafe_code,
    reason = "over-aligned blocks can only be asked for with a layout"
)]

use std::{
    alloc::{Layout, alloc, alloc_zeroed},
    hint::black_box,
};

use riptide_tests::victim::{Numbers, Site, argument, report, wait};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

/// Blocks of one site and their bytes.
type Kept = (Vec<Block>, usize);

/// A block that is kept to the end.
#[expect(dead_code, reason = "kept for the memory, never looked at")]
enum Block {
    Small(Box<[u8; 64]>),
    Bytes(Box<[u8]>),
    Words(Vec<u64>),
    Raw(*mut u8),
}

/// Room for blocks, so that no site grows a vector beside its own blocks.
#[inline(never)]
fn shelf(blocks: usize) -> Kept {
    (Vec::with_capacity(blocks), 0)
}

#[inline(never)]
fn small_boxes(kept: &mut Kept, blocks: usize) {
    for number in 0..blocks {
        kept.0
            .push(Block::Small(black_box(Box::new([number as u8; 64]))));
        kept.1 += 64;
    }
}

#[inline(never)]
fn mixed_sizes(kept: &mut Kept, blocks: usize) {
    let mut numbers = Numbers::new(1);
    for _ in 0..blocks {
        let size = 1 + numbers.below(2_000);
        kept.0.push(Block::Bytes(black_box(vec![7; size].into())));
        kept.1 += size;
    }
}

/// Larger than what jemalloc keeps in slabs.
#[inline(never)]
fn large_blocks(kept: &mut Kept, blocks: usize) {
    for number in 0..blocks {
        let size = 14_337 + number % 9_000;
        kept.0.push(Block::Bytes(black_box(vec![7; size].into())));
        kept.1 += size;
    }
}

#[inline(never)]
fn huge_blocks(kept: &mut Kept, blocks: usize) {
    for number in 0..blocks {
        let size = (1 << 20) + number;
        kept.0.push(Block::Bytes(black_box(vec![7; size].into())));
        kept.1 += size;
    }
}

#[inline(never)]
fn zeroed_blocks(kept: &mut Kept, blocks: usize) {
    let mut numbers = Numbers::new(2);
    for number in 0..blocks {
        let size = 1 + numbers.below(if number % 50 == 0 { 40_000 } else { 3_000 });
        let block: Box<[u8]> = black_box(vec![0; size].into());
        assert!(block.iter().all(|byte| *byte == 0), "not zeroed");
        kept.0.push(Block::Bytes(block));
        kept.1 += size;
    }
}

/// Vectors that double until they are done, as most vectors do.
#[inline(never)]
fn doubling_vectors(kept: &mut Kept, blocks: usize) {
    let mut numbers = Numbers::new(3);
    for number in 0..blocks {
        let mut vector = Vec::new();
        let items = 1 + numbers.below(if number % 100 == 0 { 9_000 } else { 700 });
        for item in 0..items as u64 {
            vector.push(black_box(item));
        }
        assert!(
            vector.iter().copied().eq(0..items as u64),
            "a moved vector changed"
        );
        kept.1 += vector.capacity() * 8;
        kept.0.push(Block::Words(vector));
    }
}

/// Vectors that shrink to what they hold.
#[inline(never)]
fn shrunk_vectors(kept: &mut Kept, blocks: usize) {
    let mut numbers = Numbers::new(4);
    for _ in 0..blocks {
        let mut vector: Vec<u64> = Vec::with_capacity(4_000);
        vector.extend(0..1 + numbers.below(900) as u64);
        vector.shrink_to_fit();
        kept.1 += vector.capacity() * 8;
        kept.0.push(Block::Words(black_box(vector)));
    }
}

/// One block in ten stays.
#[inline(never)]
fn churn(kept: &mut Kept, blocks: usize) {
    let mut numbers = Numbers::new(5);
    for number in 0..blocks * 10 {
        let size = 1 + numbers.below(1_000);
        let block: Box<[u8]> = black_box(vec![7; size].into());
        if number % 10 == 3 {
            kept.0.push(Block::Bytes(block));
            kept.1 += size;
        }
    }
}

/// Small blocks with large alignments.
#[inline(never)]
fn aligned_blocks(kept: &mut Kept, blocks: usize) {
    for number in 0..blocks {
        let align = 1 << (5 + number % 10);
        let size = 1 + number % 5_000;
        let Ok(layout) = Layout::from_size_align(size, align) else {
            continue;
        };
        // SAFETY: the layout has a size above 0.
        let block = black_box(unsafe { alloc(layout) });
        assert!(block.addr().is_multiple_of(align), "not aligned to {align}");
        kept.0.push(Block::Raw(block));
        kept.1 += size;
    }
}

#[inline(never)]
fn aligned_zeroed_blocks(kept: &mut Kept, blocks: usize) {
    for number in 0..blocks {
        let align = 8_192 << (number % 3);
        let size = 100 + 3 * number;
        let Ok(layout) = Layout::from_size_align(size, align) else {
            continue;
        };
        // SAFETY: the layout has a size above 0.
        let block = black_box(unsafe { alloc_zeroed(layout) });
        assert!(block.addr().is_multiple_of(align), "not aligned to {align}");
        // SAFETY: the block is `size` bytes long and zeroed, hence initialised.
        let bytes = unsafe { std::slice::from_raw_parts(block, size) };
        assert!(bytes.iter().all(|byte| *byte == 0), "not zeroed");
        kept.0.push(Block::Raw(block));
        kept.1 += size;
    }
}

fn main() {
    let scale = argument(1, 100);
    let mut sites = Vec::with_capacity(16);
    let mut shelves = Vec::with_capacity(16);
    let mut shelf_bytes = 0;
    macro_rules! site {
        ($function:ident, $blocks:expr) => {
            let blocks = $blocks * scale / 100;
            if blocks > 0 {
                let mut kept = shelf(blocks);
                shelf_bytes += blocks * size_of::<Block>();
                $function(&mut kept, blocks);
                assert_eq!(kept.0.len(), blocks);
                sites.push(Site::new($function, kept.1, blocks));
                shelves.push(kept);
            }
        };
    }
    site!(small_boxes, 400_000);
    site!(mixed_sizes, 40_000);
    site!(large_blocks, 1_500);
    site!(huge_blocks, 30);
    site!(zeroed_blocks, 15_000);
    site!(doubling_vectors, 8_000);
    site!(shrunk_vectors, 5_000);
    site!(churn, 30_000);
    site!(aligned_blocks, 3_000);
    site!(aligned_zeroed_blocks, 400);
    sites.push(Site::new(shelf, shelf_bytes, shelves.len()));
    report(&sites);
    wait();
    black_box(&shelves);
}
