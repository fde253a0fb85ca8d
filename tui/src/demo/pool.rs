//! Buffers that are handed out and given back.

use std::sync::{Mutex, PoisonError};

/// Bytes of a buffer.
const BUFFER: usize = 64 * 1024;
/// Buffers kept when nobody needs them.
const KEPT: usize = 16;

/// A pool of buffers.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// Lends a buffer.
    pub fn with_buffer<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut buffer = idle.unwrap_or_else(new_buffer);
        buffer.clear();
        let result = work(&mut buffer);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(buffer);
        }
        result
    }
}

#[inline(never)]
fn new_buffer() -> Vec<u8> {
    Vec::with_capacity(BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let pool = Pool::default();
        let first = pool.with_buffer(|buffer| {
            buffer.extend_from_slice(b"x");
            buffer.as_ptr() as usize
        });
        let second = pool.with_buffer(|buffer| {
            assert!(buffer.is_empty());
            buffer.as_ptr() as usize
        });
        assert_eq!(first, second);
    }
}
