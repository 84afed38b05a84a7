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
use super::responses::Problems;
use super::work::WorkPool;
use crate::api::fault::Fault;
use crate::api::fleet::FleetOperations;
use crate::api::input::{GateInput, ReportInput, StatusInput};
use crate::api::schema::{FleetMachinesAnswer, GateAnswer, ReportAnswer, StatusAnswer};
use crate::api::view_inputs::MachinesInput;
use crate::model::time::Timestamp;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct FleetRoutes {
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
        .route("/api/v1/fleet/machines", get(machines))
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

/// Sum requests, tokens and cost over all machines
///
/// The parameters are those of `report`. The keys `machine`, `person` and `team` name where a call comes from. A call that
/// several machines report counts once.
#[utoipa::path(get, path = "/api/v1/fleet/report", tag = "fleet", params(ReportInput),
    responses((status = 200, description = "The sums", body = ReportAnswer), Problems))]
pub(super) async fn report(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: ReportInput, now| fleet.report(&input, now)).await
}

/// Show the windows of each account over all machines
///
/// An account that several machines use has one set of windows.
#[utoipa::path(get, path = "/api/v1/fleet/status", tag = "fleet", params(StatusInput),
    responses((status = 200, description = "The status", body = StatusAnswer), Problems))]
pub(super) async fn status(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: StatusInput, now| fleet.status(&input, now)).await
}

/// Decide whether a run may start, from the usage of all machines
#[utoipa::path(get, path = "/api/v1/fleet/gate", tag = "fleet", params(GateInput),
    responses((status = 200, description = "The decision", body = GateAnswer), Problems))]
pub(super) async fn gate(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: GateInput, now| fleet.gate(&input, now)).await
}

/// List the machines that push their ledgers, with heads and ages of the last pushes
///
/// Repeat with `after` set to `next` until it is null. Each warning has a remedy.
#[utoipa::path(get, path = "/api/v1/fleet/machines", tag = "fleet", params(MachinesInput),
    responses((status = 200, description = "The machines", body = FleetMachinesAnswer), Problems))]
pub(super) async fn machines(State(routes): State<FleetRoutes>, RawQuery(input): RawQuery) -> Result<Response, Denial> {
    routes.ask(input, |fleet, input: MachinesInput, now| fleet.machines(&input, now)).await
}
