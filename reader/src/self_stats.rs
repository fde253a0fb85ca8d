//! What the reader itself uses: shown in its own screens, checked by its own tests.

use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

/// Resources of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SelfStats {
    /// Resident bytes; `None` when `/proc` cannot be read.
    pub rss_bytes: Option<u64>,
    /// CPU time of all threads, in seconds.
    pub cpu_seconds: f64,
}

/// Resources of this process as of now.
#[must_use]
pub fn self_stats() -> SelfStats {
    let rss_bytes = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map(|pages| pages.saturating_mul(page_size() as u64));
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    SelfStats {
        rss_bytes,
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_size_and_a_time() {
        let stats = self_stats();
        assert!(stats.rss_bytes.unwrap() > 100_000);
        assert!(stats.cpu_seconds > 0.0);
    }
}
