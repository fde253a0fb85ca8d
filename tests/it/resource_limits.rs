//! Resource limits of a victim.
#![expect(unsafe_code, reason = "limits are set between fork and exec")]

use std::{io, os::unix::process::CommandExt, process::Command};

/// Sets a resource limit for a command that is about to start.
pub(crate) fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, value: u64) {
    let set = move || {
        let limit = libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        // SAFETY: a system call with a plain struct of ours.
        let code = unsafe { libc::setrlimit(resource, &raw const limit) };
        if code == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: `set` allocates nothing and takes no lock, as a child between fork and exec must not.
    unsafe { command.pre_exec(set) };
}
