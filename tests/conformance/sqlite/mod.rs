//! Rules of the SQLite store alone: they look at its file and its statements.

mod erasing;
mod plans;
mod processes;
mod readers;
mod rows;
