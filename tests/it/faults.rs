//! What happens to a program happens to it with riptide as it does on bare jemalloc: the same output,
//! the same end. `docs/FAULTS.md` has the table.
//!
//! | module | holds |
//! |---|---|
//! | `compare` | runs a mode of `victim-fault` on both, waits with a deadline, compares |
//! | `life` | ways to die, children, threads |
//! | `stacks` | stacks, signals, libraries |
//! | `system` | limits, sandboxes, directories, jemalloc's options, memory |
//! | `campaign` | 1,000 kills and 1,000 forks (20 in the plain run) |
//! | `builds` | other ways to build a program; with `RIPTIDE_LONG` |

mod builds;
mod campaign;
mod compare;
mod life;
mod stacks;
mod system;
