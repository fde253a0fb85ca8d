//! Ways to end, while other threads allocate.
#![expect(unsafe_code, reason = "system calls that end the process")]

use std::{process, thread, time::Duration};

use super::work;
use crate::victim::say;

/// A panic cannot leave it, so it aborts.
extern "C" fn panics() {
    std::panic::resume_unwind(Box::new(1));
}

/// Ends the process in the way named.
pub(super) fn die(way: &str) {
    // Its message has the number of the thread in it.
    std::panic::set_hook(Box::new(|_| {}));
    work::in_background(4);
    thread::sleep(Duration::from_millis(30));
    say("dying");
    match way {
        "abort" => process::abort(),
        "exit" => process::exit(3),
        // SAFETY: ends the process without its handlers.
        "exit-now" => unsafe { libc::_exit(7) },
        "kill" => {
            let own = process::id().cast_signed();
            // SAFETY: a signal to this process.
            unsafe { libc::kill(own, libc::SIGKILL) };
        }
        "panic-aborts" => panics(),
        _ => std::panic::resume_unwind(Box::new(2)),
    }
}
