//! Full paths of inlined functions, reconstructed from line tables.
//!
//! With `debug = "line-tables-only"` DWARF calls an inlined function `helper`, `push<u8>`,
//! `{closure#0}`, without its path; only the function that holds the code has a full name, in the
//! symbol table. What surrounds a bare name tells the rest, the best evidence first:
//!
//! 1. A closure is named in the type arguments of the function that calls it:
//!    `fold<…, shop::grow::{closure_env#0}>`. So is, by its closures, the function they are in.
//! 2. A closure is in the function around it in the same file.
//! 3. The path of a source file of std or of a published crate tells the module.
//! 4. Functions of one file share a module; functions below one `src` share a crate; a path in type
//!    arguments that has a file's modules tells the crate of the file.
//!
//! Such a path is a reading of evidence. It has no type of an `impl` (`shop::add` for
//! `<shop::Cart>::add`), knows nothing of `#[path]`, re-exports, or modules written inside a file
//! (unless rule 4 finds a function of the same one), and takes a program's crate for the library's
//! when both are below one `src`. Where a merged instruction has lost its line, the file may be the
//! caller's and the module wrong with it. Of an async fn awaited by another only the module is known
//! (`shop::net::{async_fn#0}`): nothing around it names it. What has no evidence keeps its bare name.
//!
//! Closures are numbered as in the v0 mangling. The legacy one drops the number (`{{closure}}`),
//! but DWARF has it, so both copies of a closure, inlined or not, are called the same.
//!
//! It looks at one address at a time: a name depends on nothing asked before.

use super::{
    closure_name::{Closure, MAX_NAME_BYTES, Mention, last_segment, mentions, without_arguments},
    origin::{crate_name, is_std_crate, is_std_source},
    source_path::{join, published_module, source_root},
};
use crate::profile::Frame;

/// Deeper chains of inlined functions are left alone at their inner end.
const MAX_FRAMES: usize = 256;

/// Completes the names of `frames`, one physical frame with what is inlined into it, innermost
/// first. `entry` is the name that DWARF has for the last of them.
pub(super) fn complete_paths(frames: &mut [Frame], entry: &str) {
    number_closure(frames.last_mut(), entry);
    let skipped = frames.len().saturating_sub(MAX_FRAMES);
    let Some(frames) = frames.get_mut(skipped..) else {
        return;
    };
    if !frames.iter().any(is_bare) {
        return;
    }
    let mut texts: Vec<_> = frames.iter().map(|frame| frame.function.clone()).collect();
    if let Some(last) = texts.last_mut() {
        // In the legacy mangling only DWARF has the type arguments.
        *last = format!("{entry}, {last}");
    }
    let mentions: Vec<_> = texts.iter().map(|text| mentions(text)).collect();
    for at in 0..frames.len() {
        let chain = Chain {
            frames,
            texts: &texts,
            mentions: &mentions,
        };
        if let Some(name) = chain.called_closure(at) {
            set(frames, at, name);
        }
    }
    for at in (0..frames.len()).rev() {
        let chain = Chain {
            frames,
            texts: &texts,
            mentions: &mentions,
        };
        if let Some(name) = chain.inner_closure(at).or_else(|| chain.function(at)) {
            set(frames, at, name);
        }
    }
}

fn set(frames: &mut [Frame], at: usize, name: String) {
    if let Some(frame) = frames.get_mut(at) {
        frame.function = name;
    }
}

/// Whether a name has its path: `a::f`, `<T as a::Trait>::f`, but not `f<a::T>`.
pub(super) fn is_full_path(name: &str) -> bool {
    name.starts_with('<') || without_arguments(name).contains("::")
}

/// Whether a frame's name can be completed.
fn is_bare(frame: &Frame) -> bool {
    frame.inlined
        && !is_full_path(&frame.function)
        && frame.function != "??"
        && frame
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with(".rs"))
}

/// Puts the number that DWARF has for a physical closure into its legacy name.
fn number_closure(frame: Option<&mut Frame>, entry: &str) {
    if let (Some(frame), Some(closure)) = (frame, Closure::parse(entry))
        && let Some(parent) = frame.function.strip_suffix("{{closure}}")
    {
        frame.function = format!("{parent}{{closure#{}}}", closure.number);
    }
}

struct Chain<'a> {
    frames: &'a [Frame],
    /// The frames' names as they were.
    texts: &'a [String],
    /// Closures named in the `texts`, by frame.
    mentions: &'a [Vec<Mention<'a>>],
}

impl Chain<'_> {
    fn bare(&self, at: usize) -> Option<(&str, &str)> {
        let frame = self.frames.get(at).filter(|frame| is_bare(frame))?;
        Some((frame.function.as_str(), frame.file.as_deref()?))
    }

    fn outer(&self, at: usize) -> impl Iterator<Item = (&Frame, &Vec<Mention<'_>>)> {
        self.frames.iter().zip(self.mentions).skip(at + 1)
    }

    /// The name of a closure from the type arguments of who calls it.
    fn called_closure(&self, at: usize) -> Option<String> {
        let (name, file) = self.bare(at)?;
        let closure = Closure::parse(name)?;
        let in_std = is_std_source(file);
        for (caller, mentions) in self.outer(at) {
            // The caller's own parameters come before those of the types within them; its
            // closure is by custom the last.
            let mentioned = mentions
                .iter()
                .filter(|mention| mention.names(&closure))
                .filter(|mention| is_std_crate(crate_of(mention.parent)) == in_std)
                .rev()
                .min_by_key(|mention| mention.depth);
            if let Some(mention) = mentioned {
                let parent = self.without_impl(at, mention, &closure, file);
                return Some(closure.within(&parent));
            }
            // Beyond code that is not std's, type arguments are about other closures.
            if !caller.file.as_deref().is_some_and(is_std_source) {
                return None;
            }
        }
        None
    }

    /// The path of a closure's parent, where DWARF has `shop::{impl#3}::add`.
    fn without_impl(
        &self,
        at: usize,
        found: &Mention<'_>,
        closure: &Closure<'_>,
        file: &str,
    ) -> String {
        if !found.parent.contains("{impl#") {
            return found.parent.to_owned();
        }
        let method = last_segment(found.parent);
        let full = self.outer(at).find_map(|(frame, mentions)| {
            let same = mentions.iter().find(|mention| {
                !mention.parent.contains("{impl#")
                    && mention.names(closure)
                    && last_segment(mention.parent) == method
            });
            if let Some(mention) = same {
                return Some(mention.parent);
            }
            let is_method = is_full_path(&frame.function)
                && frame.file.as_deref() == Some(file)
                && last_segment(&frame.function) == method;
            is_method.then_some(frame.function.as_str())
        });
        full.map_or_else(|| drop_impls(found.parent), str::to_owned)
    }

    /// The name of a closure from the function around it.
    fn inner_closure(&self, at: usize) -> Option<String> {
        let (name, file) = self.bare(at)?;
        let closure = Closure::parse(name)?;
        if closure.kind == "async_fn" {
            // Its parent has returned before the body runs: who polls it is somebody else.
            return None;
        }
        let around = || {
            self.outer(at)
                .map(|(frame, _)| frame)
                .filter(|frame| frame.file.as_deref() == Some(file))
                .map(|frame| frame.function.as_str())
                .filter(|name| is_full_path(name))
        };
        let function = around().find(|name| function_of(name) == *name);
        let parent = function.or_else(|| around().map(function_of).next())?;
        Some(closure.within(parent))
    }

    /// The name of a function, or of a closure of which nothing better is known, from its module.
    fn function(&self, at: usize) -> Option<String> {
        let (name, file) = self.bare(at)?;
        if without_arguments(name) == "drop_in_place" {
            // The compiler writes it where the value ends, which is not in std.
            return Some(format!("core::ptr::{name}"));
        }
        if let Some(module) = published_module(file) {
            return Some(format!("{module}::{name}"));
        }
        if let Some(path) = self.parent_of_closures(at, name, file) {
            return Some(path);
        }
        let module = self
            .nearest(at, |frame| {
                if frame.file.as_deref() == Some(file) {
                    module_of(&frame.function)
                } else {
                    None
                }
            })
            .or_else(|| {
                let (root, modules) = source_root(file)?;
                self.nearest(at, |frame| {
                    let (other, _) = source_root(frame.file.as_deref()?)?;
                    let krate = app_crate(&frame.function)?;
                    if other == root {
                        join(krate, &modules)
                    } else {
                        None
                    }
                })
            })
            .or_else(|| self.mentioned_module(file))?;
        Some(format!("{module}::{name}"))
    }

    /// The path of a function whose closures are among the type arguments of what it calls.
    fn parent_of_closures(&self, at: usize, name: &str, file: &str) -> Option<String> {
        let bare = without_arguments(name);
        let modules = source_root(file)
            .map(|(_, modules)| modules)
            .unwrap_or_default();
        for (callee, mentions) in self.frames.iter().zip(self.mentions).take(at).rev() {
            if !callee.file.as_deref().is_some_and(is_std_source) {
                break;
            }
            for mention in mentions {
                let path = drop_impls(function_of(mention.parent));
                let mut below = path.split("::").skip(1);
                let agrees = modules.iter().all(|module| below.next() == Some(module));
                if agrees && last_segment(&path) == bare && app_crate(&path).is_some() {
                    let arguments = name.get(bare.len()..).unwrap_or_default();
                    return Some(path + arguments);
                }
            }
        }
        None
    }

    /// The module of a file, when the type arguments around have a path in it.
    fn mentioned_module(&self, file: &str) -> Option<String> {
        let (_, modules) = source_root(file).filter(|(_, modules)| !modules.is_empty())?;
        let is_in_path = |next: char| next.is_alphanumeric() || "_:".contains(next);
        self.texts.iter().find_map(|text| {
            let start = text.char_indices().nth(MAX_NAME_BYTES);
            let text = start.map_or(text.as_str(), |(end, _)| text.get(..end).unwrap_or(text));
            text.split(|next| !is_in_path(next)).find_map(|path| {
                let mut segments = path.split("::");
                let krate = segments.next().filter(|name| !is_std_crate(name))?;
                let agrees = modules.iter().all(|module| segments.next() == Some(module));
                // The module alone could be a function of that name.
                if agrees && segments.next().is_some_and(|next| !next.is_empty()) {
                    join(krate, &modules)
                } else {
                    None
                }
            })
        })
    }

    /// What `tell` knows of the frame next to `at` of which it knows something.
    fn nearest(&self, at: usize, tell: impl Fn(&Frame) -> Option<String>) -> Option<String> {
        let tell = |place: Option<usize>| {
            let frame = self.frames.get(place?)?;
            if is_full_path(&frame.function) {
                tell(frame)
            } else {
                None
            }
        };
        (1..self.frames.len())
            .find_map(|far| tell(at.checked_add(far)).or_else(|| tell(at.checked_sub(far))))
    }
}

/// The crate of a path, std's included.
fn crate_of(path: &str) -> &str {
    match path.split_once("::") {
        Some((first, _)) if !first.starts_with('<') => first,
        Some(_) => crate_name(path),
        None => path,
    }
}

/// The crate that a function outside std belongs to.
fn app_crate(function: &str) -> Option<&str> {
    Some(crate_name(function))
        .filter(|name| !name.is_empty() && *name != "__rustc" && !is_std_crate(name))
}

/// A path up to its first closure.
fn function_of(path: &str) -> &str {
    let mut from = 0;
    // A closure in `<shop::f::{closure#0} as core::…>::call` is no part of the path.
    while let Some(at) = path.get(from..).and_then(|rest| rest.find("::{")) {
        let at = from + at;
        let marker = path.get(at + 2..).unwrap_or_default();
        let outside = path.get(..at).is_some_and(|before| {
            before.matches('<').count()
                == before.matches('>').count() - before.matches("->").count()
        });
        if outside && (marker.starts_with("{{closure}}") || Closure::parse(marker).is_some()) {
            return path.get(..at).unwrap_or(path);
        }
        from = at + 3;
    }
    path
}

/// The module of a function, as far as its path tells: `shop::cart` of `shop::cart::Cart::add`.
fn module_of(function: &str) -> Option<String> {
    let krate = app_crate(function)?;
    if function.starts_with('<') {
        // An impl may be in another module than its type, but a crate's root is likely.
        return Some(krate.to_owned());
    }
    let function = function_of(function);
    let path = without_arguments(function);
    let in_impl = function
        .get(path.len()..)
        .is_some_and(|rest| rest.starts_with("<impl "));
    let mut segments: Vec<_> = path
        .split("::")
        .filter(|segment| !segment.is_empty())
        .collect();
    // In `shop::<impl Display for T>::fmt` the function is behind the arguments.
    if !in_impl {
        segments.pop();
    }
    while segments.len() > 1
        && segments.last().is_some_and(|last| {
            last.starts_with(|first: char| first.is_uppercase() || first == '{')
        })
    {
        segments.pop();
    }
    (!segments.is_empty()).then(|| segments.join("::"))
}

fn drop_impls(path: &str) -> String {
    let segments: Vec<_> = path
        .split("::")
        .filter(|segment| !segment.starts_with("{impl#"))
        .collect();
    segments.join("::")
}

#[cfg(test)]
#[path = "inlined_tests.rs"]
mod tests;
