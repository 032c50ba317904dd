//! One file per command.

pub(crate) mod bench;
pub(crate) mod build_engine;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod prepare;
pub(crate) mod run;
pub(crate) mod serve;
