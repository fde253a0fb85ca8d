//! A lock that nobody waits for: whoever finds it taken does without.
//!
//! **Invariant.** The value is only reached by whoever moved `taken` from false to true, until the
//! guard puts false back. A thread that dies with the guard leaves the value to nobody.
#![expect(unsafe_code, reason = "hands out a value under an atomic flag")]

use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use riptide_region::primitive::{AtomicBool, Ordering};

pub(crate) struct TryLock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which may take a `Send` value from another.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, unless somebody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // SYNC(try-lock): Acquire; pairs with the Release store in `Guard::drop`; makes visible what
        // the guard's owner before did to the value.
        let was_taken = self.taken.swap(true, Ordering::Acquire);
        // Made only when the lock is ours: dropping a guard opens it.
        (!was_taken).then(|| Guard { lock: self })
    }
}

/// The value of a [`TryLock`], until dropped.
pub(crate) struct Guard<'a, T> {
    lock: &'a TryLock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `taken` was false and is now ours.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: `taken` was false and is now ours; the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SYNC(try-lock): Release; pairs with the Acquire swap in `try_lock`.
        self.lock.taken.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_taken_lock_stays_taken_until_its_guard_goes() {
        let lock = TryLock::new(1);
        let guard = lock.try_lock().unwrap();
        assert!(lock.try_lock().is_none());
        assert!(lock.try_lock().is_none(), "a failed try opens nothing");
        drop(guard);
        *lock.try_lock().unwrap() += 1;
        assert_eq!(*lock.try_lock().unwrap(), 2);
    }
}
