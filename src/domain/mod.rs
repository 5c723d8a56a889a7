//! Workflow runs and the events that they allow: pure data and pure functions.
//!
//! Nothing here does IO, reads a clock or draws randomness. Ids and times arrive in a
//! [`transition::Stamp`]. The contract is the Workflow SDK's (`@workflow/world` 4.5.0). Start at
//! [`transition`] for the rules and at [`event`] for the closed list of events.

pub mod attributes;
pub mod change;
pub mod entity_search;
pub mod event;
pub mod fence;
pub mod health_check;
pub mod hook;
pub mod id;
pub mod message;
pub mod page;
pub mod payload;
pub mod queue;
pub mod refusal;
pub mod resume_key;
pub mod retention;
pub mod run;
pub mod spec;
pub mod step;
pub mod step_resume;
pub mod transition;
pub mod wait;
