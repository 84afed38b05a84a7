//! `/api/v1/fleet`: answers over the ledgers of all machines.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;

use super::answer::BodyForm;
use super::api::query;
use super::problem::Denial;
use super::work::WorkPool;
use crate::api::fault::Fault;
use crate::api::fleet::FleetOperations;
use crate::api::input::{GateInput, StatusInput};
use crate::model::time::Timestamp;

/// What the handlers share.
#[derive(Clone)]
struct FleetRoutes {
    fleet: Arc<FleetOperations>,
    work: WorkPool,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Returns the routes. The server applies its guards to them.
pub(super) fn routes(
    fleet: Arc<FleetOperations>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    work: WorkPool,
) -> Router {
    Router::new()
        .route("/api/v1/fleet/report", get(report))
        .route("/api/v1/fleet/status", get(status))
        .route("/api/v1/fleet/gate", get(gate))
        .with_state(FleetRoutes { fleet, work, now })
}

impl FleetRoutes {
    async fn ask<I: DeserializeOwned + Send + 'static>(
        &self,
        input: Option<String>,
        ask: fn(&FleetOperations, I, Timestamp) -> Result<String, Fault>,
    ) -> Result<Response, Denial> {
        let now = (self.now)();
        let fleet = Arc::clone(&self.fleet);
        let job = move || Ok(query(input.as_deref()).and_then(|input| ask(&fleet, input, now)));
        let done = self.work.run(BodyForm::Problem, job).await?;
        let body = done.map_err(|fault| Denial::Fault(Box::new(fault), now))?;
        Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

async fn report(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, FleetOperations::report).await
}

async fn status(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: StatusInput, now| fleet.status(&input, now)).await
}

async fn gate(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: GateInput, now| fleet.gate(&input, now)).await
}
