//! riptide
