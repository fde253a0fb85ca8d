//! riptide-benches
