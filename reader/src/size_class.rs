//! jemalloc's size classes, from its documented rule: which usable size a request gets.
//!
//! With a quantum of 16 bytes there is one class of 8, then every multiple of 16 up to 128; above,
//! four classes to a doubling (160, 192, 224, 256, 320, …) up to 14,336. Larger blocks take whole
//! pages: so it is since jemalloc 5.3.1, unless its option `disable_large_size_classes` is switched
//! off, which nobody is known to do.

const TINY_BYTES: u64 = 8;
const QUANTUM_BYTES: u64 = 16;
const QUANTUM_CLASSES_MAX_BYTES: u64 = 128;
const CLASSES_PER_DOUBLING_LOG2: u32 = 2;
const SMALL_MAX_BYTES: u64 = 14_336;
const LARGE_MIN_BYTES: u64 = 16_384;
const PAGE_BYTES: u64 = 4_096;
/// The largest size: requests above it are not possible.
pub const LARGEST_CLASS_BYTES: u64 = 7 << 60;
/// The shim raises a sampled request to this many bytes.
pub const SAMPLED_MIN_BYTES: u64 = 16;

/// Usable bytes of a request of `size` bytes without special alignment.
#[must_use]
pub fn usable_size(size: u64) -> u64 {
    if size <= TINY_BYTES {
        return TINY_BYTES;
    }
    if size <= QUANTUM_CLASSES_MAX_BYTES {
        return size.next_multiple_of(QUANTUM_BYTES);
    }
    if size >= LARGEST_CLASS_BYTES {
        return LARGEST_CLASS_BYTES;
    }
    if size > SMALL_MAX_BYTES {
        return size.next_multiple_of(PAGE_BYTES);
    }
    // The doubling (2^k, 2^(k+1)] that holds `size` has a step of 2^(k-2).
    let step = 1_u64 << ((size - 1).ilog2() - CLASSES_PER_DOUBLING_LOG2);
    size.next_multiple_of(step)
}

/// Usable bytes of a request of `size` bytes aligned to `2^align_log2`.
///
/// jemalloc rounds a small request up to a multiple of the alignment and takes the class that this
/// falls into (slabs are page-aligned, so blocks of such a class are aligned). A request that does
/// not fit a small class that way gets the pages of its size; large blocks are page-aligned, and
/// stricter alignment costs address space, not size.
#[must_use]
pub fn usable_size_aligned(size: u64, align_log2: u8) -> u64 {
    if u32::from(align_log2) <= QUANTUM_BYTES.ilog2() {
        return usable_size(size);
    }
    if size <= SMALL_MAX_BYTES && u32::from(align_log2) <= PAGE_BYTES.ilog2() {
        let usable = usable_size(size.max(1).next_multiple_of(1 << align_log2));
        if usable < LARGE_MIN_BYTES {
            return usable;
        }
    }
    usable_size(size.max(LARGE_MIN_BYTES))
}

/// The next smaller class of a class; 0 below the smallest one.
#[must_use]
pub fn class_below(usable: u64) -> u64 {
    if usable <= TINY_BYTES {
        return 0;
    }
    if usable <= QUANTUM_BYTES {
        return TINY_BYTES;
    }
    if usable <= QUANTUM_CLASSES_MAX_BYTES {
        return usable - QUANTUM_BYTES;
    }
    if usable == LARGE_MIN_BYTES {
        return SMALL_MAX_BYTES;
    }
    if usable > LARGE_MIN_BYTES {
        return usable - PAGE_BYTES;
    }
    usable - (1_u64 << ((usable - 1).ilog2() - CLASSES_PER_DOUBLING_LOG2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The small classes in jemalloc's manual (section IMPLEMENTATION NOTES), 4 KiB pages.
    const MANUAL: &[u64] = &[
        8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896,
        1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288,
        14336,
    ];

    #[test]
    fn classes_are_those_of_the_manual() {
        for size in 1..=14_336_u64 {
            let expected = MANUAL.iter().find(|class| **class >= size).unwrap();
            assert_eq!(usable_size(size), *expected, "{size}");
        }
    }

    #[test]
    fn large_blocks_take_whole_pages() {
        assert_eq!(usable_size(14_337), 16_384);
        assert_eq!(usable_size(16_385), 20_480);
        assert_eq!(usable_size(1_000_001), 1_003_520);
        assert_eq!(usable_size(2_097_153), 2_101_248);
    }

    #[test]
    fn each_class_follows_the_one_below_it() {
        assert_eq!(class_below(8), 0);
        for pair in MANUAL.windows(2) {
            assert_eq!(class_below(pair[1]), pair[0]);
        }
        assert_eq!(class_below(16_384), 14_336);
        assert_eq!(class_below(1_003_520), 999_424);
    }

    #[test]
    fn the_ends_do_not_overflow() {
        assert_eq!(usable_size(0), 8);
        assert_eq!(usable_size(u64::MAX), LARGEST_CLASS_BYTES);
        assert_eq!(usable_size((1 << 62) + 1), (1 << 62) + 4_096);
        for align_log2 in 0..=255 {
            for size in [0, 1, 4_096, u64::MAX] {
                assert!(usable_size_aligned(size, align_log2) >= size.min(LARGEST_CLASS_BYTES));
            }
        }
    }

    #[test]
    fn alignment_raises_the_class() {
        assert_eq!(usable_size_aligned(40, 5), 64);
        assert_eq!(usable_size_aligned(100, 6), 128);
        assert_eq!(usable_size_aligned(1, 12), 4_096);
        assert_eq!(usable_size_aligned(65, 6), 128);
        assert_eq!(usable_size_aligned(130, 6), 192);
        assert_eq!(usable_size_aligned(14_000, 12), 16_384);
        assert_eq!(usable_size_aligned(17_000, 16), 20_480);
        assert_eq!(usable_size_aligned(100, 13), 16_384);
    }
}
