//! All stacks of a moment as one tree, and what of it is to be seen.
//!
//! The tree is made once in the reader's thread. A view folds runtime frames and puts the base of a
//! comparison beside it; it visits only what is wide enough to be drawn.

use std::{collections::HashMap, sync::Arc};

use riptide_reader::{profile::StackProfile, symbolize::is_runtime_frame};

/// What the width of a frame stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Live bytes.
    #[default]
    Live,
    /// Bytes allocated since the start.
    Alloc,
    /// Live blocks.
    Objects,
    /// Growth of the live bytes, where it is growth.
    Growth,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Alloc, Self::Objects, Self::Growth];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live bytes",
            Self::Alloc => "allocated bytes",
            Self::Objects => "live objects",
            Self::Growth => "growth",
        }
    }

    /// The next one, around the end.
    #[must_use]
    pub fn next(self) -> Self {
        let next = (self as usize + 1) % Self::ALL.len();
        Self::ALL.get(next).copied().unwrap_or_default()
    }
}

/// A function called from its parent.
#[derive(Clone, Debug)]
struct Node {
    name: Arc<str>,
    /// Place of the name among all.
    name_id: u32,
    is_runtime: bool,
    /// By metric.
    values: [f64; Metric::ALL.len()],
    children: Vec<u32>,
}

/// The stacks of a moment, rooted at all of them.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Functions, each once.
    names: Vec<Arc<str>>,
    /// Source places by function: where the heaviest stack through it was.
    places: HashMap<Arc<str>, (String, u32)>,
    /// Whether growth was known.
    pub has_growth: bool,
}

/// Nodes at most: what is beyond adds to its parent only.
const NODES_MAX: usize = 400_000;
/// Frames of a stack that are told apart.
const DEPTH_MAX: usize = 512;
/// Name of the root.
const ROOT: &str = "all";

impl Tree {
    /// From all stacks; `growth` has a figure for each, or none.
    #[must_use]
    pub fn of(stacks: &[StackProfile], growth: &[f64]) -> Self {
        let node = |name: Arc<str>, name_id, is_runtime| Node {
            name,
            name_id,
            is_runtime,
            values: [0.0; Metric::ALL.len()],
            children: Vec::new(),
        };
        let mut tree = Self {
            nodes: vec![node(ROOT.into(), 0, false)],
            names: vec![ROOT.into()],
            places: HashMap::new(),
            has_growth: growth.len() == stacks.len(),
        };
        let mut names: HashMap<&str, (Arc<str>, u32)> = HashMap::new();
        let mut children: HashMap<(u32, u32), u32> = HashMap::new();
        for (number, stack) in stacks.iter().enumerate() {
            let growth = growth.get(number).copied().unwrap_or(0.0).max(0.0);
            let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
            let values = [
                finite(stack.live_bytes),
                finite(stack.allocated_bytes),
                finite(stack.live_objects),
                finite(growth),
            ];
            let mut at = 0_u32;
            tree.add(at, &values);
            let frames = stack.frames.get(stack.leaf..).unwrap_or_default();
            for frame in frames.iter().rev().take(DEPTH_MAX) {
                let next_name = u32::try_from(tree.names.len()).unwrap_or(u32::MAX);
                let (name, id) = names
                    .entry(frame.function.as_str())
                    .or_insert_with(|| {
                        let name: Arc<str> = frame.function.as_str().into();
                        tree.names.push(Arc::clone(&name));
                        (name, next_name)
                    })
                    .clone();
                if let (Some(file), Some(line)) = (&frame.file, frame.line)
                    && !tree.places.contains_key(&name)
                {
                    tree.places.insert(Arc::clone(&name), (file.clone(), line));
                }
                let full = tree.nodes.len() >= NODES_MAX;
                let child = match children.get(&(at, id)) {
                    Some(child) => *child,
                    None if full => break,
                    None => {
                        let child = u32::try_from(tree.nodes.len()).unwrap_or(u32::MAX);
                        tree.nodes.push(node(name, id, is_runtime_frame(frame)));
                        children.insert((at, id), child);
                        if let Some(parent) = tree.nodes.get_mut(at as usize) {
                            parent.children.push(child);
                        }
                        child
                    }
                };
                tree.add(child, &values);
                at = child;
            }
        }
        tree
    }

    fn add(&mut self, node: u32, values: &[f64; Metric::ALL.len()]) {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            for (sum, value) in node.values.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }

    fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    fn value(&self, ids: &[u32], metric: Metric) -> f64 {
        ids.iter()
            .filter_map(|id| self.node(*id)?.values.get(metric as usize))
            .sum()
    }

    /// Children of nodes, those of folded runtime frames in their place.
    fn children(&self, ids: &[u32], fold: bool, out: &mut Vec<u32>) {
        let mut open: Vec<u32> = Vec::new();
        for id in ids {
            open.extend(
                self.node(*id)
                    .map(|node| &node.children)
                    .into_iter()
                    .flatten(),
            );
        }
        while let Some(id) = open.pop() {
            let Some(node) = self.node(id) else {
                continue;
            };
            if fold && node.is_runtime {
                open.extend(&node.children);
            } else {
                out.push(id);
            }
        }
    }

    /// File and line of a function, where a stack showed them.
    #[must_use]
    pub fn place(&self, function: &str) -> Option<(&str, u32)> {
        let (file, line) = self.places.get(function)?;
        Some((file, *line))
    }
}

/// A frame to be drawn: the same function called from the same path, in both trees.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Function.
    pub name: Arc<str>,
    /// Value now.
    pub value: f64,
    /// Value in the base, if there is one.
    pub base: Option<f64>,
    now: Vec<u32>,
    then: Vec<u32>,
}

/// A tree, what it is compared with, and how it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Lens<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// What it is compared with.
    pub base: Option<&'a Tree>,
    /// What widths stand for.
    pub metric: Metric,
    /// Whether runtime frames are folded.
    pub fold: bool,
}

impl Lens<'_> {
    /// All stacks.
    #[must_use]
    pub fn root(&self) -> Cell {
        self.cell(
            ROOT.into(),
            vec![0],
            self.base.map(|_| vec![0]).unwrap_or_default(),
        )
    }

    fn cell(&self, name: Arc<str>, now: Vec<u32>, then: Vec<u32>) -> Cell {
        Cell {
            name,
            value: self.tree.value(&now, self.metric),
            base: self.base.map(|base| base.value(&then, self.metric)),
            now,
            then,
        }
    }

    /// What is called from a cell, the widest first.
    #[must_use]
    pub fn children(&self, of: &Cell) -> Vec<Cell> {
        let mut by_name: HashMap<Arc<str>, (Vec<u32>, Vec<u32>)> = HashMap::new();
        let mut ids = Vec::new();
        self.tree.children(&of.now, self.fold, &mut ids);
        for id in ids.drain(..) {
            if let Some(node) = self.tree.node(id) {
                by_name
                    .entry(Arc::clone(&node.name))
                    .or_default()
                    .0
                    .push(id);
            }
        }
        if let Some(base) = self.base {
            base.children(&of.then, self.fold, &mut ids);
            for id in ids {
                if let Some(node) = base.node(id) {
                    by_name
                        .entry(Arc::clone(&node.name))
                        .or_default()
                        .1
                        .push(id);
                }
            }
        }
        let mut cells: Vec<Cell> = by_name
            .into_iter()
            .map(|(name, (now, then))| self.cell(name, now, then))
            .filter(|cell| cell.value > 0.0)
            .collect();
        cells.sort_by(|a, b| {
            b.value
                .total_cmp(&a.value)
                .then_with(|| a.name.cmp(&b.name))
        });
        cells
    }

    /// What functions that are looked for have of a cell, however narrow they are: the outermost on
    /// each path, so that nothing counts twice.
    #[must_use]
    pub fn value_of_hits(&self, of: &Cell, is_hit: impl Fn(&str) -> bool) -> f64 {
        let hits: Vec<bool> = self.tree.names.iter().map(|name| is_hit(name)).collect();
        let mut sum = 0.0;
        let mut open = of.now.clone();
        while let Some(id) = open.pop() {
            let Some(node) = self.tree.node(id) else {
                continue;
            };
            let is_shown = !(self.fold && node.is_runtime);
            if is_shown && hits.get(node.name_id as usize) == Some(&true) {
                sum += self.tree.value(&[id], self.metric);
            } else {
                open.extend(&node.children);
            }
        }
        sum
    }

    /// The cell at the end of a path of names from the root; the part of the path that is still there.
    #[must_use]
    pub fn find(&self, path: &[Arc<str>]) -> (Cell, usize) {
        let mut at = self.root();
        for (depth, name) in path.iter().enumerate() {
            match self
                .children(&at)
                .into_iter()
                .find(|cell| cell.name == *name)
            {
                Some(child) => at = child,
                None => return (at, depth),
            }
        }
        (at, path.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::frame;

    fn stack(names: &[&str], bytes: f64) -> StackProfile {
        // Innermost first.
        let frames: Vec<_> = names
            .iter()
            .rev()
            .map(|name| frame(name, Some(("src/a.rs", 7)), false))
            .collect();
        StackProfile {
            frames: frames.into(),
            leaf: 0,
            addresses: Vec::new().into(),
            live_bytes: bytes,
            live_objects: 1.0,
            allocated_bytes: bytes * 2.0,
            allocated_objects: 2.0,
        }
    }

    fn names(cells: &[Cell]) -> Vec<(&str, f64)> {
        cells.iter().map(|cell| (&*cell.name, cell.value)).collect()
    }

    #[test]
    fn values_add_up_towards_the_root_and_runtime_frames_fold() {
        let stacks = [
            stack(&["app::main", "tokio::runtime::poll", "app::a"], 10.0),
            stack(&["app::main", "app::a"], 5.0),
            stack(&["app::main", "app::b"], 3.0),
        ];
        let tree = Tree::of(&stacks, &[]);
        let lens = |fold| Lens {
            tree: &tree,
            base: None,
            metric: Metric::Live,
            fold,
        };
        assert_eq!(lens(true).root().value, 18.0);
        let (main, _) = lens(true).find(&["app::main".into()]);
        assert_eq!(
            names(&lens(true).children(&main)),
            [("app::a", 15.0), ("app::b", 3.0)]
        );
        assert_eq!(
            names(&lens(false).children(&main)),
            [
                ("tokio::runtime::poll", 10.0),
                ("app::a", 5.0),
                ("app::b", 3.0)
            ]
        );
        assert_eq!(tree.place("app::a"), Some(("src/a.rs", 7)));
        let (_, found) = lens(true).find(&["app::main".into(), "gone".into()]);
        assert_eq!(found, 1);
    }

    #[test]
    fn hits_count_once_on_each_path_and_however_narrow_they_are() {
        let stacks = [
            stack(&["app::main", "app::a", "tokio::a", "app::a"], 10.0),
            stack(&["app::main", "app::b"], 0.001),
        ];
        let tree = Tree::of(&stacks, &[]);
        let lens = Lens {
            tree: &tree,
            base: None,
            metric: Metric::Live,
            fold: true,
        };
        let sum = |part: &str| lens.value_of_hits(&lens.root(), |name| name.contains(part));
        assert_eq!(sum("app::a"), 10.0);
        assert_eq!(sum("app::b"), 0.001);
        // Folded away.
        assert_eq!(sum("tokio"), 0.0);
        assert_eq!(sum("main"), 10.001);
    }

    #[test]
    fn a_base_lies_beside_the_same_path() {
        let then = Tree::of(&[stack(&["m", "a"], 4.0)], &[]);
        let now = Tree::of(
            &[stack(&["m", "a"], 10.0), stack(&["m", "b"], 1.0)],
            &[0.5, -2.0],
        );
        let lens = Lens {
            tree: &now,
            base: Some(&then),
            metric: Metric::Live,
            fold: true,
        };
        let (m, _) = lens.find(&["m".into()]);
        let children = lens.children(&m);
        assert_eq!((children[0].base, children[1].base), (Some(4.0), Some(0.0)));
        // What shrinks has no width as growth.
        let growth = Lens {
            metric: Metric::Growth,
            base: None,
            ..lens
        };
        assert_eq!(growth.root().value, 0.5);
    }
}
