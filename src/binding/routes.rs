//! The part of `NativeWorld` with which the app's routes are found, and accept deliveries over HTTP.

use napi::{Env, Result};
use napi_derive::napi;

use super::promise::{self, JsValue};
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, aside, then};
use crate::error::WorldError;
use crate::store::Completion;

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn ask_own_server(&self, env: Env, app: String) -> Result<JsValue> {
        self.promise(env, |_| {
            let world = self.world()?;
            let app = requests::parse::<requests::App>(&app)?.into_address();
            Ok(move |done: Completion<Reply>| {
                aside(done, move || replies::asked(world.ask_own_server(app)));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn prove_app(&self, env: Env, challenge: String) -> Result<JsValue> {
        let proof = requests::challenge(challenge)
            .and_then(|challenge| Ok(self.admissions()?.secret()?.prove_app(&challenge)));
        promise::answer(&env, proof.and_then(replies::proof))
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn admit_delivery(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |_| {
            let (admissions, claimed) = (self.admissions()?, requests::claimed_delivery(&request)?);
            Ok(move |done: Completion<Reply>| {
                admissions.admit(&claimed, then(done, replies::admitted_delivery));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn prove_answer(
        &self,
        env: Env,
        request_proof: String,
        status: u32,
        body: String,
    ) -> Result<JsValue> {
        let proof = self.admissions().and_then(|admissions| {
            let status = u16::try_from(status).map_err(|_| {
                WorldError::invalid("the status of an answer must be an HTTP status")
            })?;
            Ok(admissions.secret()?.prove_answer(&request_proof, status, body.as_bytes()))
        });
        promise::answer(&env, proof.and_then(replies::proof))
    }

    #[napi(catch_unwind)]
    pub fn end_delivery(&self, message_id: String) {
        if let Ok(admissions) = self.admissions() {
            admissions.end(&message_id);
        }
    }
}
