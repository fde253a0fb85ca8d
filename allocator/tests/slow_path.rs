//! Every allocation through the slow path, from several threads: what ThreadSanitizer looks at. The blocks
//! are never written to, as jemalloc, which it does not see into, hands them from thread to thread.
#![cfg(not(riptide_passthrough))]
#![expect(unsafe_code, reason = "calls the allocator itself, and sets variables")]

use std::{
    alloc::{GlobalAlloc, Layout},
    sync::Mutex,
    thread,
};

use riptide_alloc::Riptide;

static RIPTIDE: Riptide = Riptide::new();

struct Block(*mut u8, Layout);

// SAFETY: a block may be freed by any thread.
unsafe impl Send for Block {}

#[test]
fn threads_allocate_and_free_each_others_blocks() {
    let directory = std::env::temp_dir().join(format!("riptide-slow-path-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    for (name, value) in [
        ("RIPTIDE_SAMPLE_INTERVAL", "1"),
        ("RIPTIDE_REGION_SIZE", "4MiB"),
    ] {
        // SAFETY: no other thread of this test program reads the environment yet.
        unsafe { std::env::set_var(name, value) };
    }
    // SAFETY: as above.
    unsafe { std::env::set_var("RIPTIDE_DIR", &directory) };
    let shelf: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for seed in 1..=4_usize {
            let shelf = &shelf;
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..20_000 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let size = 1 + (state >> 33) % if state >> 60 == 0 { 40_000 } else { 900 };
                    let layout = Layout::array::<u8>(size).unwrap();
                    // SAFETY: the size is not zero.
                    let block = unsafe { RIPTIDE.alloc(layout) };
                    assert!(!block.is_null());
                    let mut shelf = shelf.lock().unwrap();
                    shelf.push(Block(block, layout));
                    if shelf.len() > 500 {
                        let place = (state >> 20) % shelf.len();
                        let Block(block, layout) = shelf.swap_remove(place);
                        drop(shelf);
                        // SAFETY: allocated with this layout, and taken out of the list.
                        unsafe { RIPTIDE.dealloc(block, layout) };
                    }
                }
            });
        }
    });
    for Block(block, layout) in shelf.into_inner().unwrap() {
        // SAFETY: as above.
        unsafe { RIPTIDE.dealloc(block, layout) };
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    std::fs::remove_dir_all(&directory).unwrap();
}
