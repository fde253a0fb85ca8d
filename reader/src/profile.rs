//! What is known about a target: the model that observations go into, and the snapshot that comes
//! out at each moment.
//!
//! | module | does |
//! |---|---|
//! | `snapshot` | plain data, serialised as the JSON contract has it |
//! | `model` | from observations to snapshots |
//! | `aggregate` | sums for each stack, usable sizes, ages |
//! | `watch` | growth from births and deaths, rates |
//! | `naming` | frames and leaves of stacks |
//! | `findings` | verdicts on sites and functions |
//! | `groups` | figures by site, function, crate, thread; sizes and lifetimes |
//! | `inspect` | one site closely, threads with their sites, size classes and lifetimes of the heap |
//! | `history` | the past at three resolutions |
//! | `journal_shapes` | sizes and lifetimes of all blocks, as counters |

mod aggregate;
mod findings;
mod groups;
mod history;
mod inspect;
mod journal_shapes;
mod model;
mod naming;
mod snapshot;
mod watch;

pub(crate) use aggregate::weigh_usable;
pub use groups::{Distribution, Group, GroupBy, Shapes};
pub use history::{History, Point};
pub use inspect::{
    HeapShape, Inspection, LifetimeBucket, SizeClass, Temporary, ThreadProfile, ThreadSite,
};
pub use journal_shapes::{BUCKETS, Histogram, JournalShapes};
use model::NO_SITE;
pub use model::{FreshMemory, Model};
pub use naming::{Resolver, UNKNOWN_STACK};
pub use snapshot::{
    Estimate, Frame, Live, Loss, Memory, Rates, SCHEMA_VERSION, Sampling, Site, Snapshot,
    StackProfile, TargetInfo, TargetState, UnwinderKind,
};
pub(crate) use watch::Newest;
