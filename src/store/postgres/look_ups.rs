//! Look-ups of hooks by their tokens. Those that come while others are under way share one statement.

use std::mem;
use std::sync::{Arc, Mutex};

use super::db::Db;
use super::hooks;
use super::reader::{Reader, WAITING_READS_MAX, throttled};
use crate::clock::Clock;
use crate::domain::id::HookToken;
use crate::domain::run::Run;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{Completion, HookView};

/// Look-ups of one statement.
const TOGETHER_MAX: usize = 256;

/// What a look-up finds.
type Found = (HookView, Run);

/// The look-ups of one store.
pub(super) struct LookUps {
    keys: Arc<Reader>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(HookToken, Completion<Found>)>,
    are_under_way: bool,
}

impl LookUps {
    pub(super) fn new(keys: Arc<Reader>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { keys, clock, state: Mutex::default() })
    }

    /// Looks for the live hook with a token, and for its run.
    pub(super) fn look_up(self: &Arc<Self>, token: HookToken, done: Completion<Found>) {
        let mut state = lock(&self.state);
        if state.waiting.len() >= WAITING_READS_MAX {
            drop(state);
            return done.settle(Err(throttled()));
        }
        state.waiting.push((token, done));
        if !mem::replace(&mut state.are_under_way, true) {
            drop(state);
            self.send();
        }
    }

    /// Sends those that wait.
    fn send(self: &Arc<Self>) {
        let (tokens, dones): (Vec<HookToken>, Vec<Completion<Found>>) = {
            let mut state = lock(&self.state);
            let count = state.waiting.len().min(TOGETHER_MAX);
            state.are_under_way = count > 0;
            state.waiting.drain(..count).unzip()
        };
        if tokens.is_empty() {
            return;
        }
        let (look_ups, asked, now_ms) = (Arc::clone(self), tokens.clone(), self.clock.now_ms());
        let answered = Completion::new(move |found: Result<Vec<Option<Found>>, WorldError>| {
            // First: the next ones are under way while these are told.
            look_ups.send();
            tell(tokens, dones, found);
        });
        self.keys.read(answered, async move |db: &Db| {
            hooks::with_runs_by_tokens(db, &asked, now_ms).await
        });
    }
}

fn tell(
    tokens: Vec<HookToken>,
    dones: Vec<Completion<Found>>,
    found: Result<Vec<Option<Found>>, WorldError>,
) {
    match found {
        Ok(found) => {
            for ((token, done), found) in tokens.into_iter().zip(dones).zip(found) {
                done.settle(found.ok_or_else(|| WorldError::hook_not_found(token.expose())));
            }
        }
        Err(error) => dones.into_iter().for_each(|done| done.settle(Err(error.clone()))),
    }
}
