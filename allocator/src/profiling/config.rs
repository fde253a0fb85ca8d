//! The environment, read once, at the first allocation of the process.
//!
//! A value that is not understood keeps its default and leaves a line in the region's header, for
//! `riptide doctor`; nothing is ever printed.
#![expect(unsafe_code, reason = "walks the C environment without allocating")]

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    sync::atomic::{AtomicU8, Ordering},
};

use riptide_region::{
    control,
    header::CONFIG_ERROR_MAX_BYTES,
    layout::{REGION_MAX_BYTES, REGION_MIN_BYTES},
};

use super::sys::{self, Text};

/// Mean bytes between two samples without other wishes.
pub(crate) const DEFAULT_INTERVAL: u64 = 512 << 10;
/// Bounds within which a budget moves the interval.
pub(crate) const INTERVAL_MIN: u64 = 4 << 10;
/// See [`INTERVAL_MIN`].
pub(crate) const INTERVAL_MAX: u64 = 64 << 20;
/// Share of the process's CPU time, in parts per million, without other wishes.
const DEFAULT_BUDGET_PPM: u64 = 5_000;
const DIRECTORY_MAX_BYTES: usize = 512;

/// How the interval is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// The interval stays.
    Fixed,
    /// The interval only rises above its start to keep within this share, in parts per million.
    AtMost(u64),
    /// The interval moves both ways to meet this share, in parts per million.
    Target(u64),
}

/// Which unwinder to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnwindChoice {
    Auto,
    FramePointers,
    Dwarf,
}

pub(crate) struct Config {
    pub(crate) enabled: bool,
    pub(crate) interval: u64,
    pub(crate) interval_is_explicit: bool,
    pub(crate) budget: Budget,
    pub(crate) region_bytes: Option<u64>,
    pub(crate) keep: bool,
    pub(crate) follow_fork: bool,
    pub(crate) unwind: UnwindChoice,
    pub(crate) seed: Option<u64>,
    /// Process that read the environment.
    pub(crate) process: u32,
    directory: Text<DIRECTORY_MAX_BYTES>,
    errors: Text<CONFIG_ERROR_MAX_BYTES>,
}

impl Config {
    const fn new() -> Self {
        Self {
            enabled: true,
            interval: DEFAULT_INTERVAL,
            interval_is_explicit: false,
            budget: Budget::AtMost(DEFAULT_BUDGET_PPM),
            region_bytes: None,
            keep: false,
            follow_fork: false,
            unwind: UnwindChoice::Auto,
            seed: None,
            process: 0,
            directory: Text::new(),
            errors: Text::new(),
        }
    }

    /// `RIPTIDE_DIR`, if set.
    pub(crate) fn directory(&self) -> Option<&[u8]> {
        let bytes = self.directory.bytes();
        (!bytes.is_empty()).then_some(bytes)
    }

    /// What was wrong with the environment, a line each.
    pub(crate) fn errors(&self) -> &[u8] {
        self.errors.bytes()
    }

    /// Whether every allocation is recorded.
    pub(crate) fn is_exact(&self) -> bool {
        self.interval <= 1
    }

    fn read(on_by_default: bool) -> Self {
        let mut config = Self::new();
        config.enabled = on_by_default;
        config.process = sys::process_id();
        let mut budget_is_set = false;
        for_each_variable(|name, value| {
            let understood = match name {
                b"RIPTIDE" => match value {
                    b"off" | b"0" | b"false" => {
                        config.enabled = false;
                        true
                    }
                    b"on" | b"1" | b"true" => {
                        config.enabled = true;
                        true
                    }
                    _ => false,
                },
                // A program with more rights than its caller does not write where the caller says.
                b"RIPTIDE_DIR" if sys::is_privileged() => false,
                b"RIPTIDE_DIR" => {
                    config.directory = Text::new();
                    let fits = !value.is_empty() && value.len() < DIRECTORY_MAX_BYTES - 64;
                    if fits {
                        config.directory.push(value);
                    }
                    fits
                }
                b"RIPTIDE_SAMPLE_INTERVAL" => parse_size(value)
                    .filter(|size| (1..=control::INTERVAL_MAX).contains(size))
                    .map(|size| {
                        config.interval = size;
                        config.interval_is_explicit = true;
                    })
                    .is_some(),
                b"RIPTIDE_BUDGET" => parse_budget(value)
                    .map(|budget| {
                        config.budget = budget;
                        budget_is_set = true;
                    })
                    .is_some(),
                b"RIPTIDE_REGION_SIZE" => parse_size(value)
                    .filter(|size| (REGION_MIN_BYTES..=REGION_MAX_BYTES).contains(size))
                    .map(|size| config.region_bytes = Some(size))
                    .is_some(),
                b"RIPTIDE_KEEP" => match value {
                    b"" | b"0" | b"off" | b"false" => {
                        config.keep = false;
                        true
                    }
                    b"1" | b"on" | b"true" => {
                        config.keep = true;
                        true
                    }
                    _ => false,
                },
                b"RIPTIDE_FORK" => match value {
                    b"leave" => {
                        config.follow_fork = false;
                        true
                    }
                    b"follow" => {
                        config.follow_fork = true;
                        true
                    }
                    _ => false,
                },
                b"RIPTIDE_UNWIND" => match value {
                    b"auto" => {
                        config.unwind = UnwindChoice::Auto;
                        true
                    }
                    b"frame-pointers" => {
                        config.unwind = UnwindChoice::FramePointers;
                        true
                    }
                    b"dwarf" => {
                        config.unwind = UnwindChoice::Dwarf;
                        true
                    }
                    _ => false,
                },
                b"RIPTIDE_SEED" => sys::parse_number(value)
                    .map(|seed| config.seed = Some(seed))
                    .is_some(),
                // Keys of the reader, such as RIPTIDE__HTTP__ADDR.
                _ if name.starts_with(b"RIPTIDE__") => true,
                _ => {
                    config.errors.push(name);
                    config.errors.push(b" is not a variable of riptide\n");
                    true
                }
            };
            if !understood {
                for part in [name, b"=", value, b" is not understood\n"] {
                    config.errors.push(part);
                }
            }
        });
        // An interval set by hand stays unless a budget was asked for as well.
        if config.interval_is_explicit && !budget_is_set {
            config.budget = Budget::Fixed;
        }
        config
    }
}

/// Calls `each` with the name and value of every variable that begins with `RIPTIDE`.
fn for_each_variable(mut each: impl FnMut(&[u8], &[u8])) {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: libc's own pointer to the environment, read once as a plain value.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return;
    }
    loop {
        // SAFETY: the environment is an array of pointers that ends in null, and the loop stops
        // there. It is read at the process's first allocation, before threads could change it.
        let text = unsafe { *entry };
        if text.is_null() {
            return;
        }
        // SAFETY: every entry is a string that ends in a zero byte.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes();
        if text.starts_with(b"RIPTIDE")
            && let Some(sign) = text.iter().position(|byte| *byte == b'=')
        {
            let (name, value) = text.split_at(sign);
            if name == b"RIPTIDE" || name.starts_with(b"RIPTIDE_") {
                each(name, value.get(1..).unwrap_or_default());
            }
        }
        // SAFETY: as above; the entry was not the last.
        entry = unsafe { entry.add(1) };
    }
}

/// `65536`, `64KiB`, `1MiB`, `2GiB`.
fn parse_size(value: &[u8]) -> Option<u64> {
    let digits = value
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (number, unit) = value.split_at_checked(digits)?;
    let factor: u64 = match unit {
        b"" | b"B" => 1,
        b"KiB" => 1 << 10,
        b"MiB" => 1 << 20,
        b"GiB" => 1 << 30,
        _ => return None,
    };
    sys::parse_number(number)?.checked_mul(factor)
}

/// `off`, or a percentage such as `0.5` or `0.5%`.
fn parse_budget(value: &[u8]) -> Option<Budget> {
    if value == b"off" {
        return Some(Budget::Fixed);
    }
    let value = value.strip_suffix(b"%").unwrap_or(value);
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = sys::parse_number(parts.next()?)?;
    let fraction = match parts.next() {
        None => 0,
        Some(digits) => {
            let kept = digits.get(..4).unwrap_or(digits);
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            sys::parse_number(kept)?.checked_mul(10_u64.pow(4 - kept.len() as u32))?
        }
    };
    let ppm = whole.checked_mul(10_000)?.checked_add(fraction)?;
    (1..=1_000_000)
        .contains(&ppm)
        .then_some(Budget::Target(ppm))
}

struct Cell(UnsafeCell<Config>);

// SAFETY: written once by the thread that moved STATE from EMPTY to READING, read only after READY
// was seen by Acquire.
unsafe impl Sync for Cell {}

const EMPTY: u8 = 0;
const READING: u8 = 1;
const READY: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(EMPTY);
static CONFIG: Cell = Cell(UnsafeCell::new(Config::new()));

/// The configuration; read from the environment by the first caller. `None` while another thread
/// (or the code that a signal interrupted) is reading it.
pub(crate) fn get(on_by_default: bool) -> Option<&'static Config> {
    // SYNC(config-read): Acquire; pairs with the Release store below; makes CONFIG visible.
    if STATE.load(Ordering::Acquire) != READY {
        // Relaxed: only decides who reads.
        STATE
            .compare_exchange(EMPTY, READING, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        let config = Config::read(on_by_default);
        // SAFETY: this thread alone moved the state to READING, and nobody reads before READY.
        unsafe { *CONFIG.0.get() = config };
        // SYNC(config-read): Release; pairs with the Acquire load above.
        STATE.store(READY, Ordering::Release);
    }
    // SAFETY: READY: written before, never again.
    Some(unsafe { &*CONFIG.0.get() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_units_only() {
        assert_eq!(parse_size(b"1"), Some(1));
        assert_eq!(parse_size(b"64KiB"), Some(65_536));
        assert_eq!(parse_size(b"1MiB"), Some(1 << 20));
        assert_eq!(parse_size(b"2GiB"), Some(2 << 30));
        for wrong in [
            &b""[..],
            b"KiB",
            b"64K",
            b"64 KiB",
            b"-1",
            b"99999999999GiB",
        ] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn budgets_are_percentages_or_off() {
        assert_eq!(parse_budget(b"off"), Some(Budget::Fixed));
        assert_eq!(parse_budget(b"0.5"), Some(Budget::Target(5_000)));
        assert_eq!(parse_budget(b"2%"), Some(Budget::Target(20_000)));
        assert_eq!(parse_budget(b"0.0001"), Some(Budget::Target(1)));
        for wrong in [&b""[..], b"0", b"101", b"half", b"1.x", b"1."] {
            assert_eq!(parse_budget(wrong), None, "{wrong:?}");
        }
    }
}
