//! Promises that other threads settle: raw deferreds and one doorbell for each JavaScript environment.
//! This is the only unsafe code of the crate.
//!
//! napi's own deferred makes a thread-safe function for every promise, which costs several times as
//! much as the operation itself. Here settled promises queue up, and one thread-safe function, the
//! doorbell, tells the JavaScript thread to drain them. The doorbell holds the event loop only while a
//! promise is pending: a script that awaits stays alive, and an idle server may exit.
//!
//! A call in nobody's asynchronous context is also here, because it needs the raw interface.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::{Function, JsValue as _, ToNapiValue};
use napi::{Env, Result, Status, check_status, sys};

use super::replies::{self, Reply};
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{Completion, Read};

/// The outcome of an operation on its way to JavaScript.
pub type Answer = std::result::Result<Reply, WorldError>;

/// A JavaScript value that is passed on unchanged.
pub struct JsValue(sys::napi_value);

impl ToNapiValue for JsValue {
    unsafe fn to_napi_value(_env: sys::napi_env, value: Self) -> Result<sys::napi_value> {
        Ok(value.0)
    }
}

/// A promise that `start` completes.
pub fn promise(env: &Env, start: impl FnOnce(Completion<Reply>)) -> Result<JsValue> {
    let doorbell = Doorbell::of(env.raw())?;
    let (mut deferred, mut promise) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: called on the environment's thread with its live `env`; both out pointers are valid.
    check_status!(unsafe { sys::napi_create_promise(env.raw(), &mut deferred, &mut promise) })?;
    doorbell.expect_one_more(env.raw())?;
    let deferred = Deferred(deferred);
    start(Completion::new(move |answer| doorbell.settle(deferred, answer)));
    Ok(JsValue(promise))
}

/// The answer of a point read, or a promise of it.
pub fn answer_or_promise<T: 'static>(
    env: &Env,
    read: Read<T>,
    reply: impl FnOnce(T) -> Answer + Send + 'static,
) -> Result<JsValue> {
    match read {
        Read::Now(outcome) => answer(env, outcome.and_then(reply)),
        Read::Later(begin) => promise(env, |done| {
            begin(Completion::new(move |outcome: std::result::Result<T, WorldError>| {
                done.settle(outcome.and_then(reply));
            }));
        }),
    }
}

/// An answer that is available now.
pub fn answer(env: &Env, answer: Answer) -> Result<JsValue> {
    reply_value(env.raw(), answer).map(JsValue)
}

/// Calls `work` without arguments in nobody's asynchronous context: no `AsyncLocalStorage` has a store
/// in it. An exception of `work` stays pending for the caller.
pub fn call_in_nobodys_context(env: &Env, work: &Function<'_, (), ()>) -> Result<()> {
    let (mut receiver, mut result) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: on the environment's thread with its live `env` and a live function of it. Without an
    // asynchronous context Node enters its empty one. Up to Node 22 the receiver holds the stores, so
    // the receiver is a new object.
    unsafe {
        check_status!(sys::napi_create_object(env.raw(), &mut receiver))?;
        check_status!(sys::napi_make_callback(
            env.raw(),
            ptr::null_mut(),
            receiver,
            work.raw(),
            0,
            ptr::null(),
            &mut result,
        ))
    }
}

/// A raw deferred that crosses other threads.
struct Deferred(sys::napi_deferred);

// SAFETY: other threads only carry the pointer; only the environment's thread uses it.
unsafe impl Send for Deferred {}

/// The doorbell's thread-safe function.
struct Bell(sys::napi_threadsafe_function);

// SAFETY: Node-API allows to call a thread-safe function from any thread.
unsafe impl Send for Bell {}

/// The settled promises of one environment, and the bell that announces them.
struct Doorbell {
    settled: Mutex<Vec<(Deferred, Answer)>>,
    /// `None` once the environment is torn down. Ringing holds the lock, so that no tear-down happens
    /// meanwhile.
    bell: Mutex<Option<Bell>>,
    rung: AtomicBool,
    /// Changed only on the environment's thread.
    pending: AtomicUsize,
}

thread_local! {
    /// The doorbells of this thread's environments.
    static DOORBELLS: RefCell<HashMap<usize, Arc<Doorbell>>> = RefCell::default();
}

impl Doorbell {
    fn of(env: sys::napi_env) -> Result<Arc<Self>> {
        let known = DOORBELLS.with_borrow(|all| all.get(&(env as usize)).cloned());
        match known {
            Some(doorbell) => Ok(doorbell),
            None => Self::install(env),
        }
    }

    fn install(env: sys::napi_env) -> Result<Arc<Self>> {
        let doorbell = Arc::new(Self {
            settled: Mutex::default(),
            bell: Mutex::default(),
            rung: AtomicBool::new(false),
            pending: AtomicUsize::new(0),
        });
        let (mut name, mut bell) = (ptr::null_mut(), ptr::null_mut());
        let text = "hookline doorbell";
        // SAFETY: `env` is live and this is its thread. The context is one strong count of the Arc,
        // which `forget` takes back when the function is finalised.
        unsafe {
            check_status!(sys::napi_create_string_utf8(
                env,
                text.as_ptr().cast(),
                text.len() as isize,
                &mut name
            ))?;
            check_status!(sys::napi_create_threadsafe_function(
                env,
                ptr::null_mut(),
                ptr::null_mut(),
                name,
                0,
                1,
                ptr::null_mut(),
                Some(forget),
                Arc::into_raw(Arc::clone(&doorbell)).cast_mut().cast(),
                Some(drain),
                &mut bell,
            ))?;
            check_status!(sys::napi_unref_threadsafe_function(env, bell))?;
            check_status!(sys::napi_add_env_cleanup_hook(env, Some(tear_down), env.cast()))?;
        }
        *lock(&doorbell.bell) = Some(Bell(bell));
        DOORBELLS.with_borrow_mut(|all| all.insert(env as usize, Arc::clone(&doorbell)));
        Ok(doorbell)
    }

    /// The event loop stays alive from the first pending promise to the last.
    fn expect_one_more(&self, env: sys::napi_env) -> Result<()> {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(Bell(bell)) = &*lock(&self.bell)
        {
            // SAFETY: on the environment's thread, and the bell is live while the lock is held.
            check_status!(unsafe { sys::napi_ref_threadsafe_function(env, *bell) })?;
        }
        Ok(())
    }

    fn expect_fewer(&self, env: sys::napi_env, settled: usize) {
        if self.pending.fetch_sub(settled, Ordering::Relaxed) == settled
            && let Some(Bell(bell)) = &*lock(&self.bell)
        {
            // SAFETY: as in `expect_one_more`. Failing would only keep the loop alive.
            unsafe { sys::napi_unref_threadsafe_function(env, *bell) };
        }
    }

    /// Called on any thread.
    fn settle(&self, deferred: Deferred, answer: Answer) {
        lock(&self.settled).push((deferred, answer));
        if !self.rung.swap(true, Ordering::SeqCst)
            && let Some(Bell(bell)) = &*lock(&self.bell)
        {
            // SAFETY: the bell is live while the lock is held; without data to pass.
            unsafe {
                sys::napi_call_threadsafe_function(
                    *bell,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                );
            }
        }
    }
}

/// Runs on the JavaScript thread when the doorbell rings: settles all queued promises.
unsafe extern "C" fn drain(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        return;
    }
    // SAFETY: the context is the Arc that `install` gave away, alive until `forget`.
    let doorbell = unsafe { &*context.cast::<Doorbell>() };
    // Cleared first, so that promises settled from now on ring again.
    doorbell.rung.store(false, Ordering::SeqCst);
    let settled = std::mem::take(&mut *lock(&doorbell.settled));
    let count = settled.len();
    for (deferred, answer) in settled {
        // SAFETY: on the environment's thread; each deferred is used once; the scope ends the
        // handles of one reply before the next is made.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                continue;
            }
            let value = reply_value(env, answer).unwrap_or_else(|_| undefined(env));
            sys::napi_resolve_deferred(env, deferred.0, value);
            sys::napi_close_handle_scope(env, scope);
        }
    }
    doorbell.expect_fewer(env, count);
}

/// The thread-safe function is gone, so its share of the doorbell is dropped.
unsafe extern "C" fn forget(_env: sys::napi_env, _data: *mut c_void, context: *mut c_void) {
    // SAFETY: takes back exactly the strong count that `install` gave away.
    drop(unsafe { Arc::from_raw(context.cast::<Doorbell>()) });
}

/// The environment ends. Nobody will look at its pending promises again.
unsafe extern "C" fn tear_down(env: *mut c_void) {
    let doorbell = DOORBELLS.try_with(|all| all.borrow_mut().remove(&(env as usize)));
    let Ok(Some(doorbell)) = doorbell else { return };
    if let Some(Bell(bell)) = lock(&doorbell.bell).take() {
        // SAFETY: on the environment's thread; nobody rings any more, because the bell is taken.
        unsafe {
            sys::napi_release_threadsafe_function(bell, sys::ThreadsafeFunctionReleaseMode::abort);
        }
    }
}

/// The JSON, `{ json?, bytes? }` or `{ error }`: see `NativeReply` in `ts/native/binding.ts`.
fn reply_value(env: sys::napi_env, answer: Answer) -> Result<sys::napi_value> {
    if let Ok(Reply { json: Some(json), bytes }) = &answer
        && bytes.is_empty()
    {
        // SAFETY: on the environment's thread with its live `env`.
        return unsafe { text(env, json) };
    }
    let mut object = ptr::null_mut();
    // SAFETY: on the environment's thread with its live `env`; all pointers are to live values.
    unsafe {
        check_status!(sys::napi_create_object(env, &mut object))?;
        match answer {
            Ok(Reply { json, bytes }) => {
                if let Some(json) = json {
                    set(env, object, c"json", text(env, &json)?)?;
                }
                if !bytes.is_empty() {
                    set(env, object, c"bytes", byte_array(env, &bytes)?)?;
                }
            }
            Err(error) => set(env, object, c"error", text(env, &replies::fault(&error))?)?,
        }
    }
    Ok(object)
}

/// # Safety
/// On the environment's thread, with its live `env` and handles of it.
unsafe fn set(
    env: sys::napi_env,
    object: sys::napi_value,
    name: &std::ffi::CStr,
    value: sys::napi_value,
) -> Result<()> {
    check_status!(unsafe { sys::napi_set_named_property(env, object, name.as_ptr(), value) })
}

/// # Safety
/// On the environment's thread, with its live `env`.
unsafe fn text(env: sys::napi_env, text: &str) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    let (start, length) = (text.as_ptr().cast(), text.len() as isize);
    check_status!(unsafe { sys::napi_create_string_utf8(env, start, length, &mut value) })?;
    Ok(value)
}

/// A plain `Uint8Array` with a copy of the bytes. Passing ownership needs a finaliser, which is slower.
///
/// # Safety
/// On the environment's thread, with its live `env`.
unsafe fn byte_array(env: sys::napi_env, bytes: &[u8]) -> Result<sys::napi_value> {
    let (mut start, mut buffer, mut array) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the new buffer is exactly as long as the source and does not overlap it.
    unsafe {
        check_status!(sys::napi_create_arraybuffer(env, bytes.len(), &mut start, &mut buffer))?;
        if start.is_null() {
            return Err(napi::Error::from_status(Status::GenericFailure));
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast::<u8>(), bytes.len());
        let uint8 = sys::TypedarrayType::uint8_array;
        check_status!(sys::napi_create_typedarray(env, uint8, bytes.len(), buffer, 0, &mut array))?;
    }
    Ok(array)
}

/// # Safety
/// On the environment's thread, with its live `env`.
unsafe fn undefined(env: sys::napi_env) -> sys::napi_value {
    let mut value = ptr::null_mut();
    unsafe { sys::napi_get_undefined(env, &mut value) };
    value
}
