//! `/push/v1`: copies of the ledgers of machines. Each request carries the token of a machine.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::access::bearer;
use super::answer::BodyForm;
use super::api::query;
use super::problem::Denial;
use super::work::WorkPool;
use crate::api::fleet::FleetOperations;
use crate::model::time::Timestamp;
use crate::present::errors::FaultKind;
use crate::sync::fleet::{EnrolledMachine, FleetAnswer, FleetRefusal, FleetServer};
use crate::sync::protocol::{CompareRoots, PushObstacle, PushRefused};
use crate::sync::segment;

/// What the handlers share.
#[derive(Clone)]
struct PushRoutes {
    fleet: Arc<FleetOperations>,
    work: WorkPool,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// The part of a ledger that a machine asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentRange {
    after: u64,
    until: u64,
}

/// Returns the routes.
pub(super) fn routes(
    fleet: Arc<FleetOperations>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    work: WorkPool,
) -> Router {
    Router::new()
        .route("/push/v1/gate", get(gate))
        .route("/push/v1/ledgers", get(ledgers))
        .route("/push/v1/ledgers/{id}/head", get(head))
        .route("/push/v1/ledgers/{id}/compare", post(compare))
        .route("/push/v1/ledgers/{id}/segments", post(accept).get(send))
        .with_state(PushRoutes { fleet, work, now })
}

impl PushRoutes {
    /// Runs a job for the machine of the token, on another thread.
    async fn run<T: Send + 'static>(
        &self,
        headers: &HeaderMap,
        job: impl FnOnce(&FleetServer, &EnrolledMachine) -> FleetAnswer<T> + Send + 'static,
    ) -> Result<T, Response> {
        let token = bearer(headers).map(str::to_owned);
        let fleet = Arc::clone(self.fleet.server());
        let done = self.work.run(BodyForm::Problem, move || {
            Ok(fleet.machine(token.as_deref()).and_then(|machine| job(&fleet, &machine)))
        });
        match done.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(refused(refusal)),
            Err(refusal) => Err(refusal.into_response()),
        }
    }

    async fn json<T: Serialize + Send + 'static>(
        &self,
        headers: &HeaderMap,
        job: impl FnOnce(&FleetServer, &EnrolledMachine) -> FleetAnswer<T> + Send + 'static,
    ) -> Response {
        match self.run(headers, job).await {
            Ok(answer) => json(StatusCode::OK, "application/json", &answer),
            Err(refusal) => refusal,
        }
    }
}

fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, media_type)], bytes).into_response(),
        Err(error) => {
            tracing::error!("an answer about a pushed ledger cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The answer to a refused request. An error of the server is logged, because its text may name paths.
fn refused(refusal: FleetRefusal) -> Response {
    let refused = match refusal {
        FleetRefusal::Refused(refused) => *refused,
        FleetRefusal::Failed(error) => {
            let title = FaultKind::of(&error).entry().title;
            tracing::error!("a pushed ledger cannot be read or written: {error}");
            PushRefused::new(PushObstacle::Unavailable, format!("{title}: the server's log has the reason"))
        }
    };
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, BodyForm::Problem.name(), &refused)
}

/// The decision for a machine, from the usage of all machines.
async fn gate(State(routes): State<PushRoutes>, headers: HeaderMap, RawQuery(input): RawQuery) -> Response {
    let (operations, now) = (Arc::clone(&routes.fleet), (routes.now)());
    let asked = move |_: &FleetServer, _: &EnrolledMachine| {
        Ok(query(input.as_deref()).and_then(|input| operations.gate(&input, now)))
    };
    match routes.run(&headers, asked).await {
        Ok(Ok(body)) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(Err(fault)) => Denial::Fault(Box::new(fault), now).into_response(),
        Err(refusal) => refusal,
    }
}

async fn ledgers(State(routes): State<PushRoutes>, headers: HeaderMap) -> Response {
    routes.json(&headers, FleetServer::ledgers_of).await
}

async fn head(State(routes): State<PushRoutes>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    routes.json(&headers, move |fleet, machine| fleet.head(machine, &id)).await
}

async fn compare(
    State(routes): State<PushRoutes>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let now = (routes.now)();
    let compared = move |fleet: &FleetServer, machine: &EnrolledMachine| {
        let roots: CompareRoots = serde_json::from_slice(&body)
            .map_err(|error| PushRefused::new(PushObstacle::Invalid, format!("the roots cannot be read ({error})")))?;
        fleet.compare(machine, &id, &roots, now)
    };
    routes.json(&headers, compared).await
}

async fn accept(State(routes): State<PushRoutes>, headers: HeaderMap, Path(id): Path<String>, body: Bytes) -> Response {
    let now = (routes.now)();
    routes.json(&headers, move |fleet, machine| fleet.accept(machine, &id, &body, now)).await
}

async fn send(
    State(routes): State<PushRoutes>,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let packed = move |fleet: &FleetServer, machine: &EnrolledMachine| {
        let query = query.unwrap_or_default();
        let SegmentRange { after, until } = serde_html_form::from_str(&query).map_err(|error| {
            PushRefused::new(PushObstacle::Invalid, format!("write ?after=POSITION&until=POSITION ({error})"))
        })?;
        fleet.segment(machine, &id, after, until)
    };
    match routes.run(&headers, packed).await {
        Ok(bytes) => (StatusCode::OK, [(header::CONTENT_TYPE, segment::MEDIA_TYPE)], bytes).into_response(),
        Err(refusal) => refusal,
    }
}
