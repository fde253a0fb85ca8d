//! Holds what a profile says against the sources of the program.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Directory, Top, riptide};

/// `riptide top` of a process that runs or of a region that one left, every site.
pub(crate) fn top(target: &str, directory: &Directory) -> Top {
    let output = riptide(
        &["top", target, "--once", "--json", "--limit", "0"],
        &[("RIPTIDE_DIR", directory.path().to_str().unwrap())],
    );
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Top(serde_json::from_slice(&output.stdout).unwrap())
}

fn sites(top: &Top) -> &[Value] {
    top.0["sites"].as_array().unwrap()
}

/// The crate that a function is of; for a method of a trait the crate of its type.
pub(crate) fn crate_of(function: &str) -> &str {
    let start = function.trim_start_matches(['<', '&', '(', '*', ' ']);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    let start = start.strip_prefix("dyn ").unwrap_or(start);
    start.split("::").next().unwrap()
}

/// The name of a function in its source: without path, type parameters and closures in it.
fn source_name(function: &str) -> String {
    let mut depth = 0_usize;
    let mut plain = String::new();
    let mut before = ' ';
    for letter in function.chars() {
        match letter {
            '<' => depth += 1,
            '>' if before == '-' => {}
            '>' => depth -= 1,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
        before = letter;
    }
    let mut names = plain.rsplit("::");
    names
        .find(|name| !name.is_empty() && !name.starts_with('{'))
        .unwrap_or_else(|| panic!("no name in {function}"))
        .to_owned()
}

/// Functions that `#[derive]` writes.
const DERIVED: [&str; 7] = [
    "clone",
    "cmp",
    "default",
    "eq",
    "fmt",
    "hash",
    "partial_cmp",
];

/// The name of the function that a line of source defines.
fn defined(line: &str) -> Option<&str> {
    let code = line.split("//").next().unwrap();
    let start = code.find("fn ")?;
    let is_word = code[..start].ends_with([' ', '\t']) || start == 0;
    let name = &code[start + 3..];
    let end = name.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))?;
    (is_word && end > 0).then(|| &name[..end])
}

/// Functions around a line, the inner ones first, by the indentation that rustfmt gives.
fn functions_around(source: &str, line: usize) -> Vec<&str> {
    let indentation = |text: &str| text.len() - text.trim_start().len();
    let lines: Vec<&str> = source.lines().collect();
    let own = lines[line - 1];
    let mut found: Vec<&str> = defined(own).into_iter().collect();
    let mut outermost = indentation(own);
    for text in lines[..line - 1].iter().rev() {
        // The end of a signature of several lines stands where its beginning does.
        let is_in_between = text.trim().is_empty() || text.trim_start().starts_with([')', '{']);
        if is_in_between || text.trim() == "where" || indentation(text) >= outermost {
            continue;
        }
        outermost = indentation(text);
        found.extend(defined(text));
    }
    found
}

/// A site of the program itself: function, file from the root of its sources, line.
pub(crate) type Place = (String, PathBuf, usize);

/// Every site of the crate's own, each of which must name a file of its sources and a line that
/// lies within a function of that name.
pub(crate) fn own_places(top: &Top, crate_name: &str, source: &Path) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let mut without_line = 0;
    for site in sites(top) {
        let function = site["function"].as_str().unwrap();
        let file = site["file"].as_str().map(Path::new);
        let is_own_file = file.is_some_and(|file| file.starts_with(source));
        if crate_of(function) != crate_name {
            assert!(!is_own_file, "not of {crate_name}: {site:#}");
            continue;
        }
        assert!(is_own_file, "not in {source:?}: {site:#}");
        let file = file.unwrap();
        let Some(line) = site["line"].as_u64().map(|line| line as usize) else {
            // Code that the compiler ascribes to no line.
            without_line += 1;
            continue;
        };
        let text = fs::read_to_string(file).unwrap();
        assert!((1..=text.lines().count()).contains(&line), "{site:#}");
        let around = functions_around(&text, line);
        let name = source_name(function);
        let is_derived = around.is_empty() && DERIVED.contains(&name.as_str());
        assert!(
            is_derived || around.contains(&name.as_str()),
            "{function} is said to be at {}:{line}, which is in {around:?}",
            file.display()
        );
        places.insert((
            function.to_owned(),
            file.strip_prefix(source).unwrap().to_owned(),
            line,
        ));
    }
    assert!(
        without_line * 10 <= places.len(),
        "{without_line} sites without a line beside {places:#?}"
    );
    places
}

/// Names of the crate's own functions in a profile without debug information, each of which must
/// be defined in its sources.
pub(crate) fn own_names(top: &Top, crate_name: &str, source: &Path) -> BTreeSet<String> {
    let mut defined_names = BTreeSet::from(DERIVED.map(str::to_owned));
    let mut directories = vec![source.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                defined_names.extend(text.lines().filter_map(defined).map(str::to_owned));
            }
        }
    }
    let mut names = BTreeSet::new();
    for site in sites(top) {
        let function = site["function"].as_str().unwrap();
        if crate_of(function) != crate_name {
            continue;
        }
        assert!(
            site["file"].is_null() && site["line"].is_null(),
            "built without debug information: {site:#}"
        );
        let name = source_name(function);
        assert!(defined_names.contains(&name), "no fn {name}: {function}");
        names.insert(function.to_owned());
    }
    names
}

/// Crates that have sites with file and line.
pub(crate) fn crates_with_lines(top: &Top) -> BTreeSet<String> {
    sites(top)
        .iter()
        .filter(|site| site["file"].is_string() && site["line"].is_u64())
        .map(|site| crate_of(site["function"].as_str().unwrap()).to_owned())
        .collect()
}

/// Asserts that the stacks reach the start of their thread, and the main thread's the program.
pub(crate) fn assert_stacks_are_whole(top: &Top, crate_name: &str) {
    let (mut whole, mut of_main, mut through) = (0, 0, 0);
    for site in sites(top) {
        let stack = site["stack"].as_array().unwrap();
        let outermost = stack.last().unwrap();
        if outermost["function"] == "_start" {
            whole += 1;
            of_main += 1;
            through += usize::from(
                stack
                    .iter()
                    .filter_map(|frame| frame["function"].as_str())
                    .any(|function| crate_of(function) == crate_name),
            );
        } else if outermost["module"]
            .as_str()
            .is_some_and(|module| module.starts_with("libc.so"))
        {
            whole += 1;
        }
    }
    let all = sites(top).len();
    assert!(whole * 100 >= all * 95, "{whole} of {all} stacks are whole");
    // The runtime allocates a little itself before it calls main.
    assert!(of_main > 0);
    assert!(
        through * 100 >= of_main * 90,
        "{through} of {of_main} stacks of the main thread lead through {crate_name}"
    );
}

/// Asserts that nothing was lost on the way to the live figures.
pub(crate) fn assert_nothing_unrecorded(top: &Top) {
    assert_eq!(top.number("loss", "unrecorded_blocks"), 0);
}

/// Asserts that every figure is exact, as it is when every allocation is recorded.
pub(crate) fn assert_exact(top: &Top) {
    assert_eq!(top.number("sampling", "interval_bytes"), 1);
    assert_nothing_unrecorded(top);
    for what in ["bytes", "objects"] {
        let live = top.live(what);
        assert!(live.is_exactly(live.estimate), "{what}: {live:?}");
    }
    for site in sites(top) {
        for figure in ["live_bytes", "live_objects", "allocated_bytes_total"] {
            let figure = &site[figure];
            assert_eq!(figure["low"], figure["high"], "{site:#}");
        }
    }
}

#[test]
fn names_are_read_as_the_source_has_them() {
    for (function, crate_name, name) in [
        ("rg::main", "rg", "main"),
        ("rg::flags::parse::new::{closure#0}", "rg", "new"),
        (
            "a::list<b::C, fn() -> d::E>::{async_fn#0}::{closure#1}",
            "a",
            "list",
        ),
        ("<a::Writer as std::io::Write>::write", "a", "write"),
        ("<&mut a::B<c::D> as e::F>::f::{{closure}}", "a", "f"),
        ("<dyn a::B as c::D>::e", "a", "e"),
    ] {
        assert_eq!(crate_of(function), crate_name, "{function}");
        assert_eq!(source_name(function), name, "{function}");
    }
}

#[test]
fn a_line_is_in_the_functions_around_it() {
    let source = "\
#[derive(Clone)]
struct A {
    text: String,
}
impl A {
    pub(crate) fn outer(
        &self,
    ) -> usize
    where
        Self: Sized,
    {
        fn inner(length: usize) -> usize {
            length // fn none()
        }
        self.text
            .chars()
            .map(|letter| {
                letter.len_utf8()
            })
            .sum()
    }
    fn other() {}
}
fn last() {
    other();
}
";
    for (line, around) in [
        (3, &[][..]),
        (6, &["outer"]),
        (13, &["inner", "outer"]),
        (18, &["outer"]),
        (22, &["other"]),
        (25, &["last"]),
    ] {
        assert_eq!(functions_around(source, line), around, "line {line}");
    }
}
