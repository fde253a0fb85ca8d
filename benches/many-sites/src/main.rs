//! `many-sites RATE`: allocates so many blocks a second at 20,000 places in turn, keeps the last three
//! of each place, and leaks a little at one. Ends with its input.

use std::{
    hint::black_box,
    io::Read as _,
    thread,
    time::{Duration, Instant},
};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

mod sites {
    include!(concat!(env!("OUT_DIR"), "/sites.rs"));
}

use sites::SITES;

const KEPT: usize = 3;
const LEAKING: usize = 4_711;
const TICK: Duration = Duration::from_millis(10);

/// As deep as handlers of a server are.
#[inline(never)]
fn descend(depth: usize, site: usize, words: usize) -> Box<[u64]> {
    let block = match depth.checked_sub(1) {
        Some(less) => descend(less, site, words),
        None => SITES.get(site).map(|call| call(words)).unwrap_or_default(),
    };
    // Something to come back to: the call is not the last thing.
    black_box(block)
}

fn work(rate: f64) {
    let mut kept: Vec<[Box<[u64]>; KEPT]> = SITES.iter().map(|_| Default::default()).collect();
    let mut leaked = Vec::new();
    let (mut done, mut turn) = (0_u64, 0_usize);
    let start = Instant::now();
    loop {
        thread::sleep(TICK);
        let due = (start.elapsed().as_secs_f64() * rate) as u64;
        while done < due {
            done += 1;
            // A step that visits all places, in an order that no cache foresees.
            let site = (done as usize).wrapping_mul(7_919) % SITES.len();
            turn += usize::from(site == 0);
            let block = descend(8, site, 2 + (site * 31 + turn) % 60);
            if let Some(slot) = kept.get_mut(site).and_then(|all| all.get_mut(turn % KEPT)) {
                *slot = block;
            }
            if done.is_multiple_of(500) {
                leaked.push(descend(8, LEAKING, 32));
            }
        }
    }
}

fn main() {
    let rate = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let rate: f64 = rate.unwrap_or(50_000.0);
    thread::spawn(move || work(rate));
    let mut rest = Vec::new();
    // However the input ends, the program does.
    let _ = std::io::stdin().read_to_end(&mut rest);
}
