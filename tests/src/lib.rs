//! riptide-tests
