//! What the victim programs and the end-to-end tests share.
//!
//! | module | does |
//! |---|---|
//! | [`fault`] | programs to which something bad happens while they allocate |
//! | [`victim`] | how a victim says its true numbers and waits |
//! | [`shared`] | words in a file that survive the process that wrote them |
//! | [`crowd`] | regions of the dead by the thousand |
//! | [`journal`] | records of the ring test and the account that its writers keep |

pub mod crowd;
pub mod fault;
pub mod journal;
pub mod shared;
pub mod victim;
