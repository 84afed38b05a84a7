//! Tools for agents over the Model Context Protocol. Each tool is one operation of the API.

mod raw_arguments;
mod schema;

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{ErrorData, RoleServer, ServiceExt};
use serde_json::Value;

use self::raw_arguments::{RawArguments, RawTransport};
use crate::api::fault::Fault;
use crate::api::input::{ForecastInput, GateInput, ReportInput, StatusInput};
use crate::api::problem::Problem;
use crate::api::schema::{
    ExplainAnswer, ForecastAnswer, GateAnswer, ReceiptAnswer, RecordInput, ReportAnswer, StatusAnswer,
};
use crate::api::service::{LedgerOperations, OperationReply, parse};
use crate::model::error::{Error, Result};
use crate::present::visible::visible_json;

const INSTRUCTIONS: &str = "A ledger of LLM token usage. Call `gate` before a large task, and `explain` for the reason of a decision. \
    `usage` shows the quota windows of every provider, `report` sums tokens and cost, `forecast` shows how long a session window lasts at the current rate.";

/// A tool and the operation that it runs.
#[derive(Clone)]
struct OfferedTool {
    tool: Tool,
    run: fn(&LedgerOperations, &[u8]) -> std::result::Result<OperationReply, Fault>,
}

/// The tools on a ledger.
#[derive(Clone)]
pub(crate) struct Tools {
    service: Arc<LedgerOperations>,
    offered: Arc<[OfferedTool]>,
}

fn offered(
    name: &'static str,
    description: &'static str,
    (input, output): (Arc<JsonObject>, Arc<JsonObject>),
    run: fn(&LedgerOperations, &[u8]) -> std::result::Result<OperationReply, Fault>,
) -> OfferedTool {
    let hints = ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
    OfferedTool {
        tool: Tool::new(name, description, input).with_raw_output_schema(output).with_annotations(hints),
        run,
    }
}

fn read_only() -> Result<Vec<OfferedTool>> {
    Ok(vec![
        offered(
            "usage",
            "Show the active provider and how much of each provider's quota windows is used",
            (schema::of_input::<StatusInput>()?, schema::of::<StatusAnswer>()?),
            |service, input| service.status(&parse(input)?),
        ),
        offered(
            "report",
            "Sum requests, tokens and cost by provider, model, project, day and other keys",
            (schema::of_input::<ReportInput>()?, schema::of::<ReportAnswer>()?),
            |service, input| service.report(&parse(input)?),
        ),
        offered(
            "gate",
            "Decide whether a run may start on a provider, and which mode of work it may use",
            (schema::of_input::<GateInput>()?, schema::of::<GateAnswer>()?),
            |service, input| service.gate(&parse(input)?),
        ),
        offered(
            "forecast",
            "Show when each provider's session window is exhausted at the current rate, and whether it resets before",
            (schema::of_input::<ForecastInput>()?, schema::of::<ForecastAnswer>()?),
            |service, input| service.forecast(&parse(input)?),
        ),
        offered(
            "explain",
            "Show each step of a decision of `gate`, with the events that it rests on",
            (schema::of_input::<GateInput>()?, schema::of::<ExplainAnswer>()?),
            |service, input| service.explain(&parse(input)?),
        ),
    ])
}

impl Tools {
    /// Creates the tools, with `record` if `allow_record` is set.
    pub fn new(service: LedgerOperations, allow_record: bool) -> Result<Self> {
        let mut tools = read_only()?;
        if allow_record {
            let schemas = (schema::of_input::<RecordInput>()?, schema::of::<ReceiptAnswer>()?);
            let mut record = offered(
                "record",
                "Record the tokens of a call. Send a `key`: a repeated call with the same key is recorded once. Without a \
                 key each call is recorded",
                schemas,
                LedgerOperations::record,
            );
            // A call without a key is recorded each time, so only keyed calls are idempotent.
            let hints = ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(false);
            record.tool = record.tool.with_annotations(hints);
            tools.push(record);
        }
        Ok(Self { service: Arc::new(service), offered: tools.into() })
    }

    fn find(&self, name: &str) -> Option<&OfferedTool> {
        self.offered.iter().find(|offered| offered.tool.name == name)
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("usage-ledger", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.find(name).map(|offered| offered.tool.clone())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> std::result::Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.offered.iter().map(|offered| offered.tool.clone()).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        of_request: RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        let Some(offered) = self.find(&request.name) else {
            let names: Vec<&str> = self.offered.iter().map(|offered| &*offered.tool.name).collect();
            let why = format!("`{}` is no tool: use one of {}", request.name, names.join(", "));
            return Err(ErrorData::invalid_params(Cow::from(why), None));
        };
        let (service, run) = (Arc::clone(&self.service), offered.run);
        // A call that the library reads in another way than `raw_arguments` has none: other arguments would be recorded.
        let Some(RawArguments(input)) = of_request.extensions.get().cloned() else {
            return Err(ErrorData::invalid_params("the call has a field twice: send each once", None));
        };
        let done = tokio::task::spawn_blocking(move || run(&service, input.as_bytes())).await;
        let done = done.map_err(|_| ErrorData::internal_error("the program is at fault: report this call", None))?;
        let (text, is_error) = match done {
            Ok(reply) => (reply.body, false),
            Err(fault) => (Problem::from(fault).to_json(), true),
        };
        // Clients show this text to people.
        let content = vec![ContentBlock::text(visible_json(&text))];
        // Structured content must have the shape of the tool's answer, which a problem does not have.
        if is_error {
            return Ok(CallToolResult::error(content).into());
        }
        let mut result = CallToolResult::structured(json(&text)?);
        result.content = content;
        Ok(result.into())
    }
}

fn json(text: &str) -> std::result::Result<Value, ErrorData> {
    serde_json::from_str(text).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Serves the tools over standard input and output until the input ends.
pub(crate) fn serve(tools: Tools) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Error::invalid(format!("no thread for the server can be made ({error})")))?;
    let done = runtime.block_on(async {
        match tools.serve(RawTransport::new(tokio::io::stdin(), tokio::io::stdout())).await {
            Ok(running) => running.waiting().await.map(|_| ()).map_err(|error| error.to_string()),
            // A client that disconnects before its first message is no failure.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
    // A read from standard input cannot be cancelled, so the program does not wait for it.
    runtime.shutdown_background();
    done.map_err(|why| {
        Error::invalid(format!(
            "the client does not use the protocol ({why}): start `usage-ledger mcp` from an MCP client"
        ))
    })
}
