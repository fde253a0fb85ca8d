//! Threads that come and go, and what runs when they end.
#![expect(unsafe_code, reason = "thread-specific data of the C library")]

use std::{
    cell::RefCell,
    ffi::c_void,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::work::sum;
use crate::victim::say;

const AT_A_TIME: usize = 32;

/// `count` threads, some at a time, each of which hands blocks over to this one.
pub(super) fn churn(count: usize) {
    let (mut total, mut bytes) = (0_u64, 0);
    for first in (0..count).step_by(AT_A_TIME) {
        let visit = |number: usize| {
            let block = vec![number as u8; 1 + number % 3_000];
            (sum(number as u64, 10), block)
        };
        let numbers = first..count.min(first + AT_A_TIME);
        let threads: Vec<_> = numbers
            .map(|number| thread::spawn(move || visit(number)))
            .collect();
        for thread in threads {
            let Ok((sum, block)) = thread.join() else {
                say("a thread panicked");
                continue;
            };
            total = total.wrapping_add(sum);
            bytes += block.len();
        }
    }
    say(&format!("{count} threads {total:x} {bytes}"));
}

/// Sums of what destructors allocated: the order in which threads end does not matter.
static TOTAL: AtomicU64 = AtomicU64::new(0);

fn add(seed: u64) {
    // Relaxed: read when all threads are gone.
    TOTAL.fetch_add(sum(seed, 20), Ordering::Relaxed);
}

struct Late(Vec<u8>);

impl Drop for Late {
    fn drop(&mut self) {
        add(self.0.len() as u64);
        // Begins anew, or is gone already: both are fine.
        let _ = SECOND.try_with(|second| second.borrow_mut().push(String::from("late")));
    }
}

thread_local! {
    static FIRST: RefCell<Option<Late>> = const { RefCell::new(None) };
    static SECOND: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Called up to four times for each thread: it sets its value anew.
unsafe extern "C" fn end_of_key(value: *mut c_void) {
    let round = value as usize;
    add(round as u64);
    // Relaxed: set before the threads were started.
    let key = KEY.load(Ordering::Relaxed) as libc::pthread_key_t;
    // SAFETY: the key was made before the threads were started and is never deleted; the value is a
    // number.
    unsafe { libc::pthread_setspecific(key, (round + 1) as *const c_void) };
}

static KEY: AtomicU64 = AtomicU64::new(0);

/// Threads whose thread-local values allocate when they are dropped.
pub(super) fn destructors(count: usize) {
    let mut key: libc::pthread_key_t = 0;
    // SAFETY: the key is a local, the destructor takes any value.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_key)) };
    KEY.store(u64::from(key), Ordering::Relaxed);
    for first in (0..count).step_by(AT_A_TIME) {
        let threads: Vec<_> = (first..count.min(first + AT_A_TIME))
            .map(|number| {
                thread::spawn(move || {
                    FIRST.set(Some(Late(vec![1; number])));
                    SECOND.with(|second| second.borrow_mut().push(number.to_string()));
                    // SAFETY: the key was made above; the value is a number.
                    unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) };
                })
            })
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                say("a thread panicked");
            }
        }
    }
    let total = TOTAL.load(Ordering::Relaxed);
    say(&format!("{made} {count} threads {total:x}"));
}
