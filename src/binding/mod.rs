//! The interface to JavaScript, and the only module that names napi. It parses, calls [`crate::world`]
//! and converts. It contains no rules.
//!
//! Values cross as text and bytes (see `ts/native/binding.ts`). Objects made here would belong to the
//! addon's realm, and under Jest fail every `instanceof`.

mod api;
mod event_requests;
mod handler;
mod migration;
mod moving;
mod place;
mod promise;
mod queue;
mod reads;
mod records;
mod releases;
mod replies;
mod requests;
mod routes;
mod streams;
mod test_controls;
mod upkeep_calls;
mod world;

/// The version of this addon, which must equal that of the JavaScript around it.
#[napi_derive::napi(catch_unwind)]
pub fn addon_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Calls `work` in a context in which no `AsyncLocalStorage` has a store. Throws what `work` throws.
#[napi_derive::napi(catch_unwind)]
pub fn call_in_nobodys_context(
    env: napi::Env,
    work: napi::bindgen_prelude::Function<'_, (), ()>,
) -> napi::Result<()> {
    promise::call_in_nobodys_context(&env, &work)
}
