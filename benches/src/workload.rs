//! What the programs can do, as `program list` prints it.

use crate::{Error, child::Program};

/// What kind of program a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Allocates and frees, in a single thread.
    Micro,
    /// Allocates and frees, in threads.
    MicroThreads,
    /// Does what programs do, in a single thread.
    Real,
    /// Does what programs do, in threads.
    RealThreads,
    /// A server, whose load comes from this process.
    Server,
    /// For a bench that asks for it by name.
    Part,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The argument that runs it.
    pub name: String,
    /// What kind it is.
    pub kind: Kind,
    /// What it does, for tables.
    pub what: String,
}

impl Kind {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "micro" => Self::Micro,
            "micro-threads" => Self::MicroThreads,
            "real" => Self::Real,
            "real-threads" => Self::RealThreads,
            "server" => Self::Server,
            "part" => Self::Part,
            _ => return None,
        })
    }

    /// Whether it does what programs do.
    #[must_use]
    pub fn is_real(self) -> bool {
        matches!(self, Self::Real | Self::RealThreads | Self::Server)
    }

    /// Whether it is one thread that does the same in every run, so that instructions can be
    /// counted.
    #[must_use]
    pub fn is_countable(self) -> bool {
        matches!(self, Self::Micro | Self::Real)
    }
}

impl Workload {
    /// A part, by name.
    #[must_use]
    pub fn part(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Part,
            what: String::new(),
        }
    }

    /// All workloads that a program has.
    ///
    /// # Errors
    /// When it cannot be run or its list cannot be read.
    pub fn all(program: &Program) -> Result<Vec<Self>, Error> {
        let list = program.ask("list")?;
        list.lines()
            .map(|line| Self::read(line).ok_or_else(|| format!("not a workload: {line:?}").into()))
            .collect()
    }

    /// Those that stand in the table of programs.
    ///
    /// # Errors
    /// As [`Workload::all`].
    pub fn table(program: &Program) -> Result<Vec<Self>, Error> {
        let mut workloads = Self::all(program)?;
        workloads.retain(|workload| workload.kind != Kind::Part);
        Ok(workloads)
    }

    fn read(line: &str) -> Option<Self> {
        let [name, kind, what] = line.split('\t').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Self {
            name: name.to_owned(),
            kind: Kind::read(kind)?,
            what: what.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_list_are_read_and_others_refused() {
        let json = Workload::read("json\treal\tparse a document").map(|read| read.kind);
        assert_eq!(json, Some(Kind::Real));
        assert_eq!(Workload::read("json\tunreal\tparse a document"), None);
        assert_eq!(Workload::read("json real parse"), None);
    }
}
