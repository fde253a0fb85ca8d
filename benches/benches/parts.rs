//! The parts of a sample that lie in the region, one by one, with criterion: `cargo bench --bench
//! parts`.

use std::{hint::black_box, process::ExitCode, sync::atomic::AtomicU64};

use bytemuck::Zeroable as _;
use criterion::Criterion;
use riptide_region::{
    header::Header,
    layout::Plan,
    live_table::LiveBlock,
    stack_table::{StackId, Weight},
    view::View,
};

const REGION_BYTES: u64 = 16 << 20;
const FRAMES: usize = 30;

fn main() -> ExitCode {
    let words: Vec<AtomicU64> = (0..REGION_BYTES / 8).map(|_| AtomicU64::new(0)).collect();
    let view = Plan::new(REGION_BYTES, false)
        .and_then(|plan| View::create(&words, &plan, &Header::zeroed()));
    let Some(view) = view else {
        eprintln!("no region of {REGION_BYTES} bytes");
        return ExitCode::FAILURE;
    };
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &view);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn bench(criterion: &mut Criterion, view: &View<'_>) {
    let stacks: Vec<[u64; FRAMES]> = (0..500)
        .map(|stack| std::array::from_fn(|frame| 0x5500_0000 + stack * 64 + frame as u64 * 4096))
        .collect();
    for stack in &stacks {
        view.stacks.intern(stack, false, 0);
    }
    let mut next = 0;
    let mut turn = || {
        next = (next + 1) % stacks.len();
        next
    };
    criterion.bench_function(
        "intern a known stack of 30 frames, 500 in turn",
        |bencher| {
            bencher.iter(|| {
                let stack = stacks.get(turn()).unwrap_or(&[0; FRAMES]);
                view.stacks.intern(black_box(stack), false, 0)
            });
        },
    );
    let weight = Weight {
        size: 64,
        probability: 0.01,
    };
    criterion.bench_function("add an allocation to a stack's totals", |bencher| {
        bencher.iter(|| view.stacks.add_allocation(StackId(1), black_box(weight), 0));
    });
    criterion.bench_function("add a free to a stack's totals", |bencher| {
        bencher.iter(|| view.stacks.add_free(StackId(1), black_box(64), Some(1000)));
    });
    let block = LiveBlock {
        address: 0x7f00_0000_0000,
        size: 64,
        stack: StackId(1),
        ..LiveBlock::default()
    };
    criterion.bench_function(
        "publish and clear a live block, 1,000 slots in turn",
        |bencher| {
            let mut slot = 0;
            bencher.iter(|| {
                slot = (slot + 1) % 1000;
                view.live.publish(slot, black_box(&block));
                view.live.clear(slot);
            });
        },
    );
    if let Some((_, ring)) = view.ring_of(1) {
        criterion.bench_function("publish a record in a ring", |bencher| {
            bencher.iter(|| ring.publish(black_box(&[1; 6])));
        });
    }
}
