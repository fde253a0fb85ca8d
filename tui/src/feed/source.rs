//! What parts are made from: a session with a process or its region, or a moment of a recording.

use std::collections::HashMap;

use riptide_reader::{
    Session,
    advise::{Advice, Advisor},
    export::Capture,
    ingest::Observation,
    leak::Finding,
    profile::{Model, Snapshot, StackProfile},
    recording::Replay,
    waterfall::{Fragmentation, Row},
};

/// A target at its last look.
pub(super) trait Source {
    fn model(&self) -> &Model;
    fn observation(&self) -> &Observation;
    fn findings(&mut self) -> Vec<Finding>;
    fn watched_seconds(&self) -> f64;
    fn rows(&mut self, snapshot: &Snapshot) -> Vec<Row>;
    fn fragmentation(&self) -> Fragmentation;
    fn advice(&self, advisor: &Advisor) -> Vec<Advice>;
    /// All stacks, and the growth of each where it is known.
    fn stacks(&mut self) -> (Vec<StackProfile>, Vec<f64>);
    /// Names of the threads that run.
    fn thread_names(&self) -> HashMap<u32, String>;
    fn jemalloc_options(&self) -> Option<String>;
    fn capture(&mut self) -> Capture;
}

impl Source for Session {
    fn model(&self) -> &Model {
        self.model()
    }

    fn observation(&self) -> &Observation {
        self.observation()
    }

    fn findings(&mut self) -> Vec<Finding> {
        self.findings()
    }

    fn watched_seconds(&self) -> f64 {
        self.watched_seconds()
    }

    fn rows(&mut self, snapshot: &Snapshot) -> Vec<Row> {
        self.waterfall(snapshot)
    }

    fn fragmentation(&self) -> Fragmentation {
        self.fragmentation()
    }

    fn advice(&self, advisor: &Advisor) -> Vec<Advice> {
        self.advice(advisor)
    }

    fn stacks(&mut self) -> (Vec<StackProfile>, Vec<f64>) {
        (self.stacks(), self.stack_growth())
    }

    fn thread_names(&self) -> HashMap<u32, String> {
        self.thread_names()
    }

    fn jemalloc_options(&self) -> Option<String> {
        self.jemalloc_options()
    }

    fn capture(&mut self) -> Capture {
        Capture::of_last_look(self)
    }
}

impl Source for Replay {
    fn model(&self) -> &Model {
        self.model()
    }

    fn observation(&self) -> &Observation {
        self.observation()
    }

    fn findings(&mut self) -> Vec<Finding> {
        self.findings()
    }

    fn watched_seconds(&self) -> f64 {
        self.watched_seconds()
    }

    fn rows(&mut self, snapshot: &Snapshot) -> Vec<Row> {
        self.waterfall(snapshot)
    }

    fn fragmentation(&self) -> Fragmentation {
        self.fragmentation()
    }

    fn advice(&self, advisor: &Advisor) -> Vec<Advice> {
        self.advice(advisor)
    }

    fn stacks(&mut self) -> (Vec<StackProfile>, Vec<f64>) {
        ((*self).stacks(), self.stack_growth())
    }

    fn thread_names(&self) -> HashMap<u32, String> {
        HashMap::new()
    }

    fn jemalloc_options(&self) -> Option<String> {
        None
    }

    fn capture(&mut self) -> Capture {
        Capture::of_replay(self)
    }
}
