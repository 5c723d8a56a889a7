//! One suite of rules over `dyn Store`, run for every store.
//!
//! A rule is a function of a fresh [`World`]; `run_by_every_store!` makes a test of it for each kind
//! of store. A rule that is not listed is dead code, so none is forgotten. Another store plugs in with
//! a function that makes a [`World`], and a line in each of the macros.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "../kit/mod.rs"]
mod kit;

use kit::World;

/// Makes tests of every store from rules.
macro_rules! run_by_every_store {
    ($($rule:ident),+ $(,)?) => {
        mod on_a_sqlite_file {
            $(#[test] fn $rule() { super::$rule(&crate::World::on_file()); })+
        }
        mod in_sqlite_memory {
            $(#[test] fn $rule() { super::$rule(&crate::World::in_memory()); })+
        }
        mod on_a_sealed_file {
            $(#[test] fn $rule() { super::$rule(&crate::World::sealed()); })+
        }
        #[cfg(target_os = "linux")]
        mod on_postgres {
            $(#[test] fn $rule() { super::$rule(&crate::World::on_postgres()); })+
        }
    };
}

/// Tests of every store that several processes can share.
macro_rules! run_by_every_shared_store {
    ($($rule:ident),+ $(,)?) => {
        mod on_a_shared_sqlite_file {
            $(#[test] fn $rule() { super::$rule(&crate::World::on_file()); })+
        }
        #[cfg(target_os = "linux")]
        mod on_shared_postgres {
            $(#[test] fn $rule() { super::$rule(&crate::World::on_postgres()); })+
        }
    };
}

mod api;
mod batches;
mod clock_steps;
mod closing;
mod coalescing;
mod dead;
mod delivery;
mod enqueueing;
mod events;
mod fencing;
mod forgotten;
mod from_spec_six;
mod held;
mod hooks;
mod listeners;
mod offers;
mod overlapping;
mod owners;
mod pages;
mod reads;
mod refusals;
mod releases;
mod replays;
mod retention;
mod sqlite;
mod streams;
mod together;
