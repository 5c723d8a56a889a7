//! A store whose values are sealed at rest. It seals the values that the SDK leaves plain, passes them
//! to the inner store, and opens them in the replies. The inner store makes the same decisions on the
//! sealed texts.

mod at_rest;
mod sealed_upkeep;
mod token_key;

use std::sync::{Arc, Weak};

use self::at_rest::AtRest;
pub use self::token_key::{KeptKey, KeptKeys, refuse_if_sealed};
use super::listeners::Listeners;
use super::upkeep::Upkeep;
use super::{
    ActivePlace, Admission, Appended, ClaimRequest, Claimed, CommitListener, CommitNews,
    Completion, Enqueued, EventQuery, EventReply, Found, HookView, Outcome, QueueDepth, Read,
    RunQuery, RunView, StepView, Stopped, StoppedMessage, Store, StreamRead, StreamSlice, Woken,
};
use crate::clock::Clock;
use crate::crypto::{DeliverySecret, KeyRing};
use crate::domain::event::{Event, EventBody, EventRequest};
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::message::{Lease, NewMessage};
use crate::domain::page::{Page, PageRequest};
use crate::domain::queue::offer::Offer;
use crate::domain::resume_key::ResumeKey;
use crate::domain::run::Run;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};

/// How tokens are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokensAtRest {
    /// As plain text.
    Plain,
    /// As a keyed hash, followed by the encrypted token.
    Sealed,
}

/// A store that seals the values of an inner store.
pub struct SealedStore {
    inner: Arc<dyn Store>,
    upkeep: Arc<dyn Upkeep>,
    at_rest: Arc<AtRest>,
    opened_news: Arc<OpenedNews>,
    entropy: Entropy,
    clock: Arc<dyn Clock>,
}

/// Receives the news of the inner store's commits and passes them on with opened tokens.
struct OpenedNews {
    at_rest: Arc<AtRest>,
    listeners: Listeners,
}

impl CommitListener for OpenedNews {
    fn hear(self: Arc<Self>, news: &CommitNews) {
        match news.hooks.is_empty() {
            true => self.listeners.tell(news),
            false => self.listeners.tell(&self.at_rest.open_news(news)),
        }
    }
}

impl SealedStore {
    /// Opens the sealing layer over a store. Blocks while it checks the ring against the keys that
    /// sealed the database.
    ///
    /// # Errors
    /// `EncryptionKeyMissing` if the database is sealed and the ring has none of its keys;
    /// `EncryptionKeyWrong` if a key of the ring differs from the database's key with the same id;
    /// storage faults.
    pub fn open<S: Store + Upkeep + KeptKeys>(
        inner: Arc<S>,
        ring: Arc<KeyRing>,
        tokens: TokensAtRest,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WorldError> {
        let token_seal = token_key::token_seal(&*inner, &ring)?;
        let at_rest = Arc::new(AtRest::new(ring, token_seal, tokens));
        let upkeep = Arc::clone(&inner) as Arc<dyn Upkeep>;
        let opened_news =
            Arc::new(OpenedNews { at_rest: Arc::clone(&at_rest), listeners: Listeners::default() });
        let listener: Weak<OpenedNews> = Arc::downgrade(&opened_news);
        inner.on_commit(listener);
        Ok(Self { inner, upkeep, at_rest, opened_news, entropy: Entropy::default(), clock })
    }

    /// Opens the reply of the inner store before its caller gets it.
    fn opening<T: 'static>(
        &self,
        done: Completion<T>,
        open: impl FnOnce(&AtRest, T) -> Result<T, WorldError> + Send + 'static,
    ) -> Completion<T> {
        let at_rest = Arc::clone(&self.at_rest);
        Completion::new(move |outcome: Result<T, WorldError>| {
            done.settle(outcome.and_then(|value| open(&at_rest, value)));
        })
    }

    /// Looks a token up in its stored form. An error names the caller's own token again.
    fn by_token<T: 'static>(
        &self,
        token: &HookToken,
        look_up: impl FnOnce(&HookToken) -> Read<T>,
    ) -> Read<T> {
        let named_by = token.clone();
        look_up(&self.at_rest.seal_token(token.clone())).map(move |outcome| {
            outcome.map_err(|error| match error.kind {
                ErrorKind::HookNotFound => WorldError::hook_not_found(named_by.expose()),
                _ => error,
            })
        })
    }

    /// Opens the result of a point read of the inner store.
    fn opened<T: 'static>(
        &self,
        read: Read<T>,
        open: impl FnOnce(&AtRest, T) -> Result<T, WorldError> + Send + 'static,
    ) -> Read<T> {
        let at_rest = Arc::clone(&self.at_rest);
        read.map(move |outcome| outcome.and_then(|value| open(&at_rest, value)))
    }
}

/// Opens the deliveries of a claim. A delivery that cannot be opened goes back into the queue, so that
/// it does not delay the others.
fn open_claimed(at_rest: &AtRest, store: &dyn Store, claimed: Claimed) -> Claimed {
    let mut deliveries = Vec::with_capacity(claimed.deliveries.len());
    for delivery in claimed.deliveries {
        let (message_id, lease_token) = (delivery.message_id, delivery.lease_token.clone());
        match at_rest.open_delivery(delivery) {
            Ok(delivery) => deliveries.push(delivery),
            Err(error) => {
                let outcome = Outcome::unable(error.message);
                // If this fails, nobody extends the lease, so it expires.
                store.settle_delivery(message_id, lease_token, outcome, Completion::ignored());
            }
        }
    }
    Claimed { deliveries, ..claimed }
}

impl Store for SealedStore {
    fn append_event(&self, request: EventRequest, done: Completion<EventReply>) {
        let run_id = match (&request.run_id, &request.body) {
            // Sealed values are bound to their run, so the run must have its id now.
            (None, EventBody::RunCreated(_)) => Some(self.entropy.run_id(self.clock.now_ms())),
            (named, _) => named.clone(),
        };
        // The rules refuse every other event without a run.
        let Some(run_id) = run_id else { return self.inner.append_event(request, done) };
        match self.at_rest.seal_event(&run_id, request) {
            Ok(sealed) => {
                self.inner.append_event(sealed, self.opening(done, AtRest::open_event_reply));
            }
            Err(error) => done.settle(Err(error)),
        }
    }

    fn append_events(&self, requests: Vec<EventRequest>, done: Completion<Vec<Appended>>) {
        let seal = |request: EventRequest| match request.run_id.clone() {
            Some(run_id) => self.at_rest.seal_event(&run_id, request),
            // The rules refuse it.
            None => Ok(request),
        };
        let open = |at_rest: &AtRest, appended: Vec<Appended>| {
            let opened =
                appended.into_iter().map(|one| one.and_then(|it| at_rest.open_event_reply(it)));
            Ok(opened.collect())
        };
        match requests.into_iter().map(seal).collect() {
            Ok(sealed) => self.inner.append_events(sealed, self.opening(done, open)),
            Err(error) => done.settle(Err(error)),
        }
    }

    fn resume_once(&self, request: EventRequest, key: ResumeKey, done: Completion<bool>) {
        let Some(run_id) = request.run_id.clone() else {
            return self.inner.resume_once(request, key, done);
        };
        match self.at_rest.seal_event(&run_id, request) {
            Ok(sealed) => {
                self.inner.resume_once(sealed, self.at_rest.seal_resume_key(key), done);
            }
            Err(error) => done.settle(Err(error)),
        }
    }

    fn earlier_resume(&self, key: &ResumeKey) -> Read<Option<HookView>> {
        let earlier = self.inner.earlier_resume(&self.at_rest.seal_resume_key(key.clone()));
        self.opened(earlier, |at_rest, earlier| {
            earlier.map(|view| at_rest.open_hook(view)).transpose()
        })
    }

    fn hook_of_step(
        &self,
        place: &str,
        repeated: u32,
        token: &HookToken,
    ) -> Read<Option<HookView>> {
        let token = self.at_rest.seal_token(token.clone());
        let resumed = self.inner.hook_of_step(&self.at_rest.seal_place(place), repeated, &token);
        self.opened(resumed, |at_rest, resumed| {
            resumed.map(|view| at_rest.open_hook(view)).transpose()
        })
    }

    fn hook_by_token(&self, token: &HookToken) -> Read<HookView> {
        let hook = self.by_token(token, |token| self.inner.hook_by_token(token));
        self.opened(hook, AtRest::open_hook)
    }

    fn hook_and_run_by_token(&self, token: &HookToken) -> Read<(HookView, Run)> {
        let found = self.by_token(token, |token| self.inner.hook_and_run_by_token(token));
        self.opened(found, |at_rest, (hook, run)| {
            Ok((at_rest.open_hook(hook)?, at_rest.open_run(run)?))
        })
    }

    fn run_by_id(&self, run_id: &RunId) -> Read<Run> {
        self.opened(self.inner.run_by_id(run_id), AtRest::open_run)
    }

    fn run(&self, run_id: RunId, resolve_data: bool, done: Completion<RunView>) {
        self.inner.run(run_id, resolve_data, self.opening(done, AtRest::open_run_view));
    }

    fn run_ends(&self, run_ids: Vec<RunId>, done: Completion<Found<RunId, RunView>>) {
        let open = |at_rest: &AtRest, ends: Found<RunId, RunView>| {
            let opened = |(run_id, end): (RunId, Result<RunView, WorldError>)| {
                (run_id, end.and_then(|view| at_rest.open_run_view(view)))
            };
            Ok(ends.into_iter().map(opened).collect())
        };
        self.inner.run_ends(run_ids, self.opening(done, open));
    }

    fn runs(&self, query: RunQuery, done: Completion<Page<RunView>>) {
        let open = |at_rest: &AtRest, page| open_page(page, |view| at_rest.open_run_view(view));
        self.inner.runs(query, self.opening(done, open));
    }

    fn step(
        &self,
        run_id: Option<RunId>,
        step_id: CorrelationId,
        resolve_data: bool,
        done: Completion<StepView>,
    ) {
        self.inner.step(run_id, step_id, resolve_data, self.opening(done, AtRest::open_step));
    }

    fn steps(
        &self,
        run_id: RunId,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<StepView>>,
    ) {
        let open = |at_rest: &AtRest, page| open_page(page, |view| at_rest.open_step(view));
        self.inner.steps(run_id, page, resolve_data, self.opening(done, open));
    }

    fn event(&self, run_id: RunId, event_id: String, resolve_data: bool, done: Completion<Event>) {
        self.inner.event(run_id, event_id, resolve_data, self.opening(done, AtRest::open_event));
    }

    fn events(&self, query: EventQuery, done: Completion<Page<Event>>) {
        let open = |at_rest: &AtRest, page| open_page(page, |event| at_rest.open_event(event));
        self.inner.events(query, self.opening(done, open));
    }

    fn hook(&self, hook_id: CorrelationId, resolve_data: bool, done: Completion<HookView>) {
        self.inner.hook(hook_id, resolve_data, self.opening(done, AtRest::open_hook));
    }

    fn hooks(
        &self,
        run_id: Option<RunId>,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<HookView>>,
    ) {
        let open = |at_rest: &AtRest, page| open_page(page, |view| at_rest.open_hook(view));
        self.inner.hooks(run_id, page, resolve_data, self.opening(done, open));
    }

    fn live_hooks(&self, tokens: Vec<HookToken>, done: Completion<Found<HookToken, HookView>>) {
        let sealed = tokens.into_iter().map(|token| self.at_rest.seal_token(token)).collect();
        let open = |at_rest: &AtRest, hooks: Found<HookToken, HookView>| {
            let opened = |(stored, hook): (HookToken, Result<HookView, WorldError>)| {
                // The token is the hook's own, and needs no key of its run.
                let stored = hook.as_ref().map_or(&stored, |view| &view.hook.token);
                let token = at_rest.open_token(stored);
                (token, hook.and_then(|view| at_rest.open_hook(view)))
            };
            Ok(hooks.into_iter().map(opened).collect())
        };
        self.inner.live_hooks(sealed, self.opening(done, open));
    }

    fn complete_waits(
        &self,
        run_id: RunId,
        only: Option<Vec<CorrelationId>>,
        done: Completion<usize>,
    ) {
        self.inner.complete_waits(run_id, only, done);
    }

    fn enqueue(&self, message: NewMessage, delay_ms: i64, done: Completion<MessageId>) {
        self.inner.enqueue(self.at_rest.seal_message(message), delay_ms, done);
    }

    fn enqueue_all(&self, messages: Vec<(NewMessage, i64)>, done: Completion<Vec<Enqueued>>) {
        let seal = |(message, delay_ms)| (self.at_rest.seal_message(message), delay_ms);
        self.inner.enqueue_all(messages.into_iter().map(seal).collect(), done);
    }

    fn claim(&self, request: ClaimRequest, done: Completion<Claimed>) {
        let (at_rest, inner) = (Arc::clone(&self.at_rest), Arc::clone(&self.inner));
        self.inner.claim(
            request,
            Completion::new(move |claimed: Result<Claimed, WorldError>| {
                done.settle(claimed.map(|claimed| open_claimed(&at_rest, &*inner, claimed)));
            }),
        );
    }

    fn extend(
        &self,
        leases: Vec<(MessageId, LeaseToken)>,
        lease_ms: i64,
        done: Completion<Vec<MessageId>>,
    ) {
        self.inner.extend(leases, lease_ms, done);
    }

    fn settle_delivery(
        &self,
        message_id: MessageId,
        lease_token: LeaseToken,
        outcome: Outcome,
        done: Completion<bool>,
    ) {
        let outcome = self.at_rest.seal_outcome(outcome);
        self.inner.settle_delivery(message_id, lease_token, outcome, done);
    }

    fn free_dead_leases(&self, done: Completion<usize>) {
        self.inner.free_dead_leases(done);
    }

    fn wake_forgotten(&self, after: Option<ActivePlace>, limit: usize, done: Completion<Woken>) {
        self.inner.wake_forgotten(after, limit, done);
    }

    fn queue_depth(&self, living: Vec<Offer>, done: Completion<QueueDepth>) {
        self.inner.queue_depth(living, done);
    }

    fn stopped_messages(
        &self,
        stopped: Stopped,
        page: PageRequest,
        done: Completion<Page<StoppedMessage>>,
    ) {
        let open = |at_rest: &AtRest, page| open_page(page, |it| at_rest.open_stopped(it));
        self.inner.stopped_messages(stopped, page, self.opening(done, open));
    }

    fn take_up_refused(&self, done: Completion<usize>) {
        self.inner.take_up_refused(done);
    }

    fn redrive(&self, message_id: MessageId, done: Completion<MessageId>) {
        self.inner.redrive(message_id, done);
    }

    fn lease(&self, message_id: MessageId) -> Result<Option<Lease>, WorldError> {
        self.inner.lease(message_id)
    }

    fn admit(&self, message_id: MessageId, lease_token: LeaseToken, done: Completion<Admission>) {
        let open = |at_rest: &AtRest, admission| match admission {
            Admission::Admitted(delivery) => {
                at_rest.open_delivery(delivery).map(Admission::Admitted)
            }
            other => Ok(other),
        };
        self.inner.admit(message_id, lease_token, self.opening(done, open));
    }

    fn delivery_secret(&self) -> Result<DeliverySecret, WorldError> {
        Ok(self.at_rest.delivery_secret(&self.inner.delivery_secret()?))
    }

    fn write_stream(
        &self,
        name: String,
        run_id: RunId,
        chunks: Vec<Vec<u8>>,
        done: Completion<()>,
    ) {
        let chunks = self.at_rest.seal_chunks(&name, &chunks);
        self.inner.write_stream(name, run_id, chunks, done);
    }

    fn close_stream(&self, name: String, run_id: RunId, done: Completion<()>) {
        self.inner.close_stream(name, run_id, done);
    }

    fn stream_slices(
        &self,
        reads: Vec<StreamRead>,
        done: Completion<Found<StreamRead, StreamSlice>>,
    ) {
        let open = |at_rest: &AtRest, found: Found<StreamRead, StreamSlice>| {
            let opened = |(read, slice): (StreamRead, Result<StreamSlice, WorldError>)| {
                let slice = slice.and_then(|slice| at_rest.open_slice(&read.name, slice));
                (read, slice)
            };
            Ok(found.into_iter().map(opened).collect())
        };
        self.inner.stream_slices(reads, self.opening(done, open));
    }

    fn streams_of_run(&self, run_id: RunId, done: Completion<Vec<String>>) {
        self.inner.streams_of_run(run_id, done);
    }

    fn lease_owner(&self) -> &str {
        self.inner.lease_owner()
    }

    /// The report contains nothing of a run, so there is nothing to seal.
    fn show_worker(&self, report: &str) -> bool {
        self.inner.show_worker(report)
    }

    fn lacks_session(&self) -> bool {
        self.inner.lacks_session()
    }

    fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.opened_news.listeners.add(listener);
    }

    fn watch_elsewhere(&self, watch: bool) {
        self.inner.watch_elsewhere(watch);
    }

    fn close(&self) {
        self.inner.close();
    }
}

fn open_page<T>(
    page: Page<T>,
    open: impl FnMut(T) -> Result<T, WorldError>,
) -> Result<Page<T>, WorldError> {
    let items = page.items.into_iter().map(open).collect::<Result<_, _>>()?;
    Ok(Page { items, ..page })
}
