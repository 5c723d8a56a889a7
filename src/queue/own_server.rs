//! Does this process serve the app? Asks its own server, before anything is delivered.

use std::sync::Arc;

use super::http::{AppAddress, HttpDelivery};
use super::listening;
use crate::store::Store;

/// Sends the app's challenge to its address. Returns `false`, and sends nothing, if no server of this
/// process listens. The code of the route that answers knows in which process it runs. Blocks.
pub fn ask(app: AppAddress, store: Arc<dyn Store>) -> bool {
    if listening::sockets().own().is_empty() {
        return false;
    }
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        // Who asks again looks at the route, so the reason of a refusal is of no use here.
        let _ = runtime.block_on(HttpDelivery::new(app, store).is_ready());
    }
    true
}
