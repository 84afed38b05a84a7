//! The services of a server: the API for programs, telemetry, or both.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use tokio::sync::watch;

use super::work::WorkPool;
use super::{Receiver, api, fleet, openapi, otlp, page, push, views};
use crate::api::fleet::FleetOperations;
use crate::api::service::{LedgerOperations, ServiceClock};
use crate::ledger::Ledger;
use crate::merkle::Signer;
use crate::model::time::{Timestamp, Zone};
use crate::sync::fleet::FleetServer;

/// The HTTP API of a ledger.
pub struct Api {
    ledger: Ledger,
    clock: ServiceClock,
    zone: Zone,
    signer: Option<Signer>,
    homes: Option<Vec<PathBuf>>,
}

impl Api {
    /// Creates an API for a ledger. `zone` is the default zone of days, weeks and months.
    pub fn new(ledger: Ledger, zone: Zone, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { ledger, clock: ServiceClock { named: None, now: Box::new(now) }, zone, signer: None, homes: None }
    }

    /// Uses this time for every query, including those about the past.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.clock.named = Some(now);
        self
    }

    /// Signs checkpoints and proofs with a key.
    pub fn signer(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Counts logs of agents that are not imported yet: in these home directories, or in the user's own if there are none.
    pub fn homes(mut self, homes: Vec<PathBuf>) -> Self {
        self.homes = Some(homes);
        self
    }
}

/// The services of a server.
#[derive(Default)]
pub struct Services {
    telemetry: Option<Arc<Receiver>>,
    api: Option<Api>,
    fleet: Option<Arc<FleetServer>>,
}

impl Services {
    /// Creates a value without services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds telemetry over OTLP/HTTP below `/v1`, and its summary at `/`.
    pub fn telemetry(mut self, receiver: Arc<Receiver>) -> Self {
        self.telemetry = Some(receiver);
        self
    }

    /// Adds the API for programs below `/api/v1`.
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Adds copies of the ledgers of machines below `/push/v1`. They need the API, which has the clock.
    pub(crate) fn fleet(mut self, fleet: Arc<FleetServer>) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// Returns the routes. Telemetry and the API have separate queues, so neither delays the other.
    pub(super) fn routes(self, ending: &watch::Receiver<bool>, is_local: bool) -> Router {
        let mut routes = page::routes();
        if let Some(receiver) = self.telemetry {
            routes = routes.merge(otlp::routes(receiver, WorkPool::new(ending.clone())));
        } else {
            routes = routes.route("/", get(|headers: HeaderMap| async move { page::document(&headers) }));
        }
        if let Some(Api { ledger, clock, zone, signer, homes }) = self.api {
            let service = Arc::new(LedgerOperations::new(ledger, clock, zone, signer).with_homes(homes));
            if let Some(machines) = self.fleet {
                let operations = Arc::new(FleetOperations::new(machines, zone));
                let clock = Arc::clone(&service);
                let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || clock.now());
                let work = || WorkPool::new(ending.clone());
                routes = routes
                    .merge(push::routes(Arc::clone(&operations), Arc::clone(&now), work()))
                    .merge(fleet::routes(operations, now, work()));
            }
            routes = routes
                .merge(api::routes(service, WorkPool::new(ending.clone()), ending.clone(), views::routes(), is_local))
                .merge(openapi::routes());
        }
        routes
    }
}
